"""Rotary positions from a table: computed once for every position, looked up at run time.

Sines and cosines of a position are the same in every pass. Computed in the graph they cost three
operators that no delegate takes; looked up they cost one, and a frequency that depends on how long
the text has become shows itself here instead of in a wrong answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported

_COMPARED = 2


@contextmanager
def tabulated(model: nn.Module, context: int) -> Iterator[None]:
    """Replace the model's rotary embeddings while the block runs.

    A table is computed on the first call with each set of further arguments, which must not be
    inside a trace: run the model once before it is captured.

    Raises:
        Unsupported: frequencies change with the length of the text below ``context``.
    """
    found = [module for module in model.modules() if _is_rotary(module)]
    for module in found:
        original = module.forward
        module.forward = partial(_look_up, module, original, context)
    try:
        yield
    finally:
        for module in found:
            del module.forward
            for name in [name for name in module._buffers if name.startswith(_TABLE)]:
                del module._buffers[name]


_TABLE = "positions_"


def _is_rotary(module: nn.Module) -> bool:
    named = type(module).__name__.endswith("RotaryEmbedding")
    return named and "position_ids" in inspect.signature(type(module).forward).parameters


def _look_up(
    module: nn.Module, original: Any, context: int, x: Tensor, position_ids: Tensor, *more: str
) -> tuple[Tensor, ...]:
    stem = "_".join([_TABLE.rstrip("_"), *map(str, more)])
    if f"{stem}_0" not in module._buffers:
        every = torch.arange(context)[None]
        with torch.no_grad():
            # The longest first: it is what a module that keeps state would keep.
            tables = original(x, every, *more)
            first = original(x, every[:, :_COMPARED], *more)
        for table, few in zip(tables, first, strict=True):
            if not torch.equal(table[:, :_COMPARED], few):
                raise Unsupported(
                    f"rotary frequencies change with the length of the text below {context} tokens",
                    hint="Choose a --max-context within the length that the model was trained on.",
                )
        for index, table in enumerate(tables):
            module.register_buffer(f"{stem}_{index}", table[0].clone(), persistent=False)
    rows = position_ids[0]
    found: list[Tensor] = []
    while f"{stem}_{len(found)}" in module._buffers:
        table = module._buffers[f"{stem}_{len(found)}"]
        assert table is not None
        found.append(table.index_select(0, rows)[None])
    return tuple(found)
