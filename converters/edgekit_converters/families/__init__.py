"""What must be known of an architecture to capture it; nothing where the generic path works.

One architecture a file, named as transformers' model_type, with ``capturable(model, max_length)``:
a context in which the model computes the same function in a form that torch.export can take. After
it the model is as transformers made it, so the reference never sees the other form.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn


def names() -> tuple[str, ...]:
    """The architectures that have a file."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(stem for stem in found if not stem.startswith("_")))


@contextmanager
def capturable(model: nn.Module, model_type: str, max_length: int) -> Iterator[None]:
    """The model in the form that is captured, while inside.

    Args:
        model: a transformers model.
        model_type: transformers' name of its architecture; looked up among the files here.
        max_length: the most tokens in one text.
    """
    name = model_type.replace("-", "_")
    if name not in names():
        yield
        return
    module = importlib.import_module(f"{__name__}.{name}")
    with module.capturable(model, max_length):
        yield
