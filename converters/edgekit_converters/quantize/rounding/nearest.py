"""Round to nearest: every weight goes to the closest integer, and none knows of the others.

What the other methods are measured against, and all that an embedding table needs: each token reads
one row of it, and what its errors do to the answer is much the same in all directions (GPTQ with
the gradients' second moments gains nothing on MiniLM's).
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import scales


def fit(
    weight: Tensor,
    bits: int,
    group: int,
    moments: Moments | None = None,
    *,
    scale_dtype: torch.dtype = torch.float32,
) -> Grid:
    """Put a weight on a grid.

    Args:
        weight: ``(rows, columns)`` float32.
        bits: 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.
        moments: of what the weight is multiplied with; weighs the errors of columns when the
            scales are chosen.
        scale_dtype: float32, or bfloat16 where an artifact stores no more.

    Raises:
        ValueError: the weight is not finite, or ``group`` does not divide its columns.
    """
    importance = None if moments is None else moments.gram.diagonal()
    step = scales.choose(weight, bits, group, importance, scale_dtype)
    rows, columns = weight.shape
    grouped = weight.to(torch.float32).reshape(rows, step.shape[1], -1)
    values = torch.round(grouped / step[..., None]).clamp_(lowest(bits), highest(bits))
    return Grid(values.reshape(rows, columns).to(torch.int8), step, bits, group or columns)


def fit_table(weight: Tensor, bits: int, group: int, scale_dtype: torch.dtype) -> Grid:
    """Put a table on a grid whose groups may have a negative scale.

    Few bits reach further below zero than above: -8 to 7. A group whose largest value is positive
    is better off upside down. A lookup multiplies by whatever there is; a linear's kernel does not.

    Args:
        weight: ``(rows, columns)`` float32.
        bits: 8, 4 or 2; 8 reach as far to both sides.
        group: columns that share a scale; 0 for one scale a row.
        scale_dtype: as in ``fit``.

    Raises:
        ValueError: as ``fit``.
    """
    usual = fit(weight, bits, group, scale_dtype=scale_dtype)
    if bits == 8:
        return usual
    turned = fit(-weight, bits, group, scale_dtype=scale_dtype)
    better = _error(weight, turned, -1) < _error(weight, usual, 1)
    wide = better.repeat_interleave(weight.shape[1] // usual.scales.shape[1], dim=1)
    return Grid(
        torch.where(wide, turned.values, usual.values),
        torch.where(better, -turned.scales, usual.scales),
        bits,
        usual.group,
    )


def _error(weight: Tensor, grid: Grid, sign: int) -> Tensor:
    """Squared error of each group, ``(rows, groups)``."""
    lost = weight - sign * grid.dequantized()
    return lost.reshape(*grid.scales.shape, -1).square().sum(dim=2)
