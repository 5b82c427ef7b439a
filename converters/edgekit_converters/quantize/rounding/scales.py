"""One scale for each row, or for each group of columns in a row: the step of the integer grid."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.grid import SMALLEST_SCALE, highest, lowest

# Few levels: cutting the largest weights buys resolution for all the others. Many: it buys nothing.
_SMALLEST_CLIP = {4: 0.6, 2: 0.3}
_CLIPS = 15

# A type with a short mantissa must not round the smallest scale to below itself.
_MARGIN = 1.01

# Elements worked on at a time: a table of a large vocabulary takes gigabytes at once.
_BLOCK = 1 << 20


def width(weight: Tensor, group: int) -> int:
    """Columns that share a scale: ``group``, or all of a row when it is 0.

    Raises:
        ValueError: ``weight`` is no matrix of finite numbers, or ``group`` does not divide its
            columns.
    """
    if weight.ndim != 2 or not weight.numel():
        raise ValueError(f"a weight has rows and columns; this one has shape {tuple(weight.shape)}")
    if not torch.isfinite(weight).all():
        bad = int((~torch.isfinite(weight)).any(dim=1).nonzero()[0, 0])
        raise ValueError(f"row {bad} of the weight has a number that is not finite")
    columns = weight.shape[1]
    if group < 0 or (group and columns % group):
        raise ValueError(f"groups of {group} do not divide {columns} columns")
    return group or columns


def choose(
    weight: Tensor,
    bits: int,
    group: int,
    importance: Tensor | None = None,
    scale_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Choose scales.

    8 bits: the largest weight lies on the largest integer. Fewer bits: the clipping with the
    smallest squared error, of a small set of them, none included.

    In every row or group with a weight that is not zero, at least one weight rounds to the end of
    the range that is nearer to it. So the scale can be found again from the dequantized weights as
    ``max(max / highest, -min / -lowest)``.

    Args:
        weight: ``(rows, columns)`` float32.
        bits: 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.
        importance: what a squared error costs in each column, ``(columns,)``.
        scale_dtype: float32, or bfloat16 where an artifact stores no more.

    Returns:
        float32 ``(rows, groups)``, each number representable in ``scale_dtype``.

    Raises:
        ValueError: see ``width``.
    """
    columns = width(weight, group)
    rows = weight.to(torch.float32).reshape(-1, columns)
    groups = weight.shape[1] // columns
    cost = None
    if importance is not None and bits != 8:
        # A channel that calibration never saw costs little, not nothing.
        floor = importance.mean().clamp(min=torch.finfo(torch.float32).tiny) * 1e-3
        cost = (importance + floor).reshape(groups, columns)
        cost = cost / cost.amax(dim=1, keepdim=True)
    step = max(1, _BLOCK // (columns * groups)) * groups
    parts = [_choose(part, bits, cost, scale_dtype) for part in torch.split(rows, step)]
    return torch.cat(parts).reshape(-1, groups)


def _choose(rows: Tensor, bits: int, cost: Tensor | None, scale_dtype: torch.dtype) -> Tensor:
    """Scales ``(rows,)``; ``cost`` is ``(groups, columns)`` and repeats over the rows."""
    reach = torch.maximum(rows.amax(dim=1) / highest(bits), rows.amin(dim=1) / lowest(bits))
    if bits == 8:
        return _stored(reach, scale_dtype)
    # In units of each row's own reach, so that no square overflows or vanishes.
    unit = reach.clamp(min=SMALLEST_SCALE)[:, None]
    relative = rows / unit
    best = _stored(reach, scale_dtype)
    least = torch.full_like(best, torch.inf)
    for clip in torch.linspace(1.0, _SMALLEST_CLIP[bits], _CLIPS).tolist():
        scales = _stored(reach * clip, scale_dtype)
        step = scales[:, None] / unit
        nearest = torch.round(relative / step).clamp_(lowest(bits), highest(bits)).mul_(step)
        squares = nearest.sub_(relative).square_()
        if cost is not None:
            squares = squares.reshape(-1, *cost.shape).mul_(cost).reshape(squares.shape)
        error = squares.sum(dim=1)
        better = error < least
        best = torch.where(better, scales, best)
        least = torch.where(better, error, least)
    return best


def _stored(scales: Tensor, scale_dtype: torch.dtype) -> Tensor:
    return scales.clamp(min=SMALLEST_SCALE * _MARGIN).to(scale_dtype).to(torch.float32)
