"""N of M weights in a row, such as 2:4: what graphics cards speed up, and phones do not."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from edgekit.errors import SpecError

UNITS = "weights"
_NAME = re.compile(r"(\d{1,2}):(\d{1,2})")


def pattern(name: str) -> tuple[int, int]:
    """``(kept, of)`` from a name such as ``2:4``.

    Raises:
        SpecError: it is no such name.
    """
    found = _NAME.fullmatch(name)
    kept, of = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    if not 0 < kept < of:
        raise SpecError(f"{name!r} is no pattern", hint="Such as 2:4, two of each four stay.")
    return kept, of


def removed(score: Tensor, kept: int, of: int, axis: int) -> Tensor:
    """Which elements go: the lowest of each ``of`` neighbours that one output reads.

    Args:
        score: of each element of one weight.
        kept: how many of each run stay.
        of: length of a run; a last one that is shorter stays whole.
        axis: dimension of the weight that reads the input.
    """
    rows = score if axis == 1 else score.T
    whole = rows.shape[1] - rows.shape[1] % of
    runs = rows[:, :whole].reshape(len(rows), -1, of)
    lowest = runs.argsort(dim=2, stable=True)[:, :, : of - kept]
    gone = torch.zeros_like(runs, dtype=torch.bool).scatter(2, lowest, True)
    full = torch.zeros_like(rows, dtype=torch.bool)
    full[:, :whole] = gone.reshape(len(rows), whole)
    return full if axis == 1 else full.T
