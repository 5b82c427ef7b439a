"""AWQ: larger weights, and so finer steps, for the channels that carry most of the signal.

Lin et al. 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration"
(arXiv 2306.00978), section 3.2: ``s = mean|X|^p`` for each channel, with the exponent that gives
the smallest output error once the weights are rounded. For weights with few bits. The error is
measured with the activation in int8 too, one scale a token, as the kernels have it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.scaling.smoothquant import balanced

_EXPONENTS = 11


def factors(weights: list[Tensor], moments: Moments, bits: int, group: int) -> Tensor:
    """Factors for all the weights that read one activation.

    Args:
        weights: each ``(rows, columns)``.
        moments: of the activation; its sample of rows is what the exponents are tried on.
        bits: of the weights, 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.

    Returns:
        ``(columns,)`` float32, positive; all one when no exponent above 0 is better.
    """
    stacked = torch.cat(weights)
    wanted = moments.rows @ stacked.T
    best = torch.ones_like(moments.size)
    least = torch.inf
    for power in torch.linspace(0, 1, _EXPONENTS).tolist():
        scale = balanced(moments.size, power, torch.ones_like(moments.size), 0.0)
        rounded = nearest.fit(stacked * scale, bits, group, moments.scaled(1 / scale))
        got = per_token(moments.rows / scale) @ rounded.dequantized().T
        error = float((got - wanted).square().mean())
        if error < least:
            best, least = scale, error
    return best
