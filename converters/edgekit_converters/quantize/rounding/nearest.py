"""Round to nearest: every weight goes to the closest integer, and none knows of the others.

What the other methods are measured against, and all that an embedding table can have: each token
reads one row of it, so there is nothing to balance an error with.
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
