"""Symmetric int8 rounding with one scale a row: the grid that every int8 weight here lies on."""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = 127
_SMALLEST = 1e-12


def per_row(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round to nearest, one scale for each row.

    Args:
        weight: ``(rows, columns)`` float32.

    Returns:
        int8 values ``(rows, columns)`` within -127..127 and float32 scales ``(rows,)``; a row of
        zeros gets a tiny scale and stays zero.
    """
    scale = (weight.abs().amax(dim=1) / _LEVELS).clamp(min=_SMALLEST)
    values = torch.round(weight / scale[:, None]).clamp(-_LEVELS, _LEVELS)
    return values.to(torch.int8), scale
