"""Keep the libraries' own talk off the terminal while they work; their exceptions always pass."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# torch warns here, at import of torchao, about classes that are not ours to change.
_LOGGERS = (
    "torch.utils._pytree",
    "torch.onnx",
    "torchao",
    "transformers",
    "optimum",
    "huggingface_hub",
)


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """No warnings, log lines or progress bars of transformers and its relatives inside.

    Args:
        libraries: whose log lines go nowhere as well, by their loggers' names.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Imported first: both set their loggers' levels when they are.
        import torch  # noqa: F401
        from transformers.utils import logging as hf_logging

        bars = hf_logging.is_progress_bar_enabled()
        levels = {name: logging.getLogger(name).level for name in (*_LOGGERS, *libraries)}
        hf_logging.disable_progress_bar()
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if bars:
                hf_logging.enable_progress_bar()
