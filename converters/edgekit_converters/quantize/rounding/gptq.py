"""GPTQ: round column by column, and let the columns still to come make up for each error.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers" (arXiv 2210.17323), section 3.3. With ``H`` the second moments of the input and ``U``
the upper Cholesky factor of its inverse, rounding column ``c`` with error ``e`` moves the later
columns ``j`` by ``-e U[c, j] / U[c, c]``, which is best for the layer's squared output error.

Scales are chosen before the first column is rounded and stay ("static groups"): columns can then be
taken in any order, the ones with the largest input first, and keep their place in the artifact. The
weight that its group's scale comes from stays at the end of the range, so the scale can be found
again from the dequantized weights, as with round to nearest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import scales

# Added to the diagonal of H, as a fraction of its mean: few texts leave directions unseen.
DAMPING = 0.02

_BLOCK = 128
_TRIES = 6


def fit(
    weight: Tensor,
    bits: int,
    group: int,
    moments: Moments | None,
    *,
    scale_dtype: torch.dtype = torch.float32,
    damping: float = DAMPING,
    by_size: bool = True,
) -> Grid:
    """Put a weight on a grid.

    Args:
        weight: ``(rows, columns)`` float32.
        bits: 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.
        moments: of the layer's input. A channel that it never saw is rounded to nearest.
        scale_dtype: float32, or bfloat16 where an artifact stores no more.
        damping: fraction of the mean squared input added to each channel's.
        by_size: take the columns with the largest input first, instead of from left to right.

    Raises:
        ValueError: the weight or its moments are not finite, ``group`` does not divide the columns,
            or there are no moments for them.
    """
    if moments is None:
        raise ValueError("GPTQ needs the moments of the layer's input")
    columns = weight.shape[-1]
    gram = moments.gram
    if gram.shape != (columns, columns) or not torch.isfinite(gram).all():
        raise ValueError(f"{columns} columns need finite moments of {columns} channels")
    size = gram.diagonal()
    step = scales.choose(weight, bits, group, size, scale_dtype)
    wide = columns // step.shape[1]
    order = torch.argsort(size, descending=True, stable=True) if by_size else torch.arange(columns)
    # One line a column from here on: what is done to a column is then done to adjacent memory.
    lines = weight.to(torch.float32).T[order].contiguous()
    every_step = step.T[order // wide].contiguous()
    ends = _ends(weight.to(torch.float32), bits, step.shape[1])
    values = _round(
        lines,
        every_step,
        ends.T[order].contiguous(),
        _factor(gram[order][:, order], damping),
        (lowest(bits), highest(bits)),
    )
    unordered = torch.empty_like(values)
    unordered[order] = values
    return Grid(unordered.T.contiguous().to(torch.int8), step, bits, group or columns)


def _ends(weight: Tensor, bits: int, groups: int) -> Tensor:
    """For the weight that sets its group's scale the integer that it stays on; 0 elsewhere."""
    rows, columns = weight.shape
    grouped = weight.reshape(rows, groups, -1)
    reach = torch.maximum(grouped / highest(bits), grouped / lowest(bits))
    most, place = reach.max(dim=2, keepdim=True)
    end = torch.where(grouped.gather(2, place) > 0, highest(bits), lowest(bits)) * (most > 0)
    ends = torch.zeros_like(grouped).scatter_(2, place, end.to(grouped.dtype))
    return ends.reshape(rows, columns)


def _factor(gram: Tensor, damping: float) -> Tensor:
    """The upper Cholesky factor of the inverse; damped more where rounding hides its rank."""
    size = gram.diagonal().mean()
    if size <= 0:
        return torch.eye(len(gram))
    for tried in range(_TRIES):
        damped = gram / size + torch.eye(len(gram)) * damping * 10**tried
        lower, failed = torch.linalg.cholesky_ex(damped)
        if failed:
            continue
        inverse = torch.cholesky_inverse(lower)
        upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
        if not failed:
            found: Tensor = upper
            return found
    raise ValueError("the moments are no second moments: their matrix has a negative direction")


def _round(
    lines: Tensor, step: Tensor, ends: Tensor, factor: Tensor, levels: tuple[int, int]
) -> Tensor:
    """Integers as float, one line a column; changes ``lines``, which ends as what was aimed at."""
    values = torch.empty_like(lines)
    fixed = ends.any(dim=1).tolist()
    pivots = factor.diagonal().tolist()
    for start in range(0, len(lines), _BLOCK):
        stop = min(start + _BLOCK, len(lines))
        errors = torch.empty(stop - start, lines.shape[1])
        for line in range(start, stop):
            value = torch.round(lines[line] / step[line]).clamp_(*levels)
            if fixed[line]:
                value = torch.where(ends[line] != 0, ends[line], value)
            values[line] = value
            error = (lines[line] - value * step[line]) / pivots[line]
            lines[line + 1 : stop].addr_(factor[line, line + 1 : stop], error, alpha=-1)
            errors[line - start] = error
        lines[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)
    return values
