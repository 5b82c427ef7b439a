"""Tables of sinusoids that a model makes longer when a text needs it: made long enough before.

M2M100 and what is built like it count positions behind the padding token and compute further rows
when these run out. A graph cannot: traced, the question becomes a bound on the text and the answer
together, which no pass is to have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def long_enough(model: nn.Module, tokens: int) -> Iterator[None]:
    """Let every such table reach beyond ``tokens`` while the block runs; rows stay what they are.

    Args:
        model: of any kind; one without such tables is left alone.
        tokens: the most in all that a pass may count, whatever their bounds allow together.
    """
    before: list[tuple[Any, Tensor]] = []
    for module in model.modules():
        found: Any = module
        if not (hasattr(found, "make_weights") and isinstance(found.weights, Tensor)):
            continue
        rows = tokens + (found.padding_idx or 0) + 1
        if len(found.weights) < rows:
            before.append((found, found.weights))
            found.make_weights(rows, found.embedding_dim, found.padding_idx)
    try:
        yield
    finally:
        for found, weights in before:
            found.weights = weights
