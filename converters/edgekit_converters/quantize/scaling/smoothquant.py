"""SmoothQuant: share the outliers of an activation between it and the weights that read it.

Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
Models" (arXiv 2211.10438), eq. 4: ``s = max|X|^alpha / max|W|^(1 - alpha)`` for each channel. For
activations that are rounded as coarsely as the weights: 8 bits both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.moments import Moments

# How much of the difficulty moves to the weights, 0..1.
ALPHA = 0.5

# A channel that calibration hardly saw may be large at run time; its factor stays near the others'.
FARTHEST = 1e3


def factors(
    weights: list[Tensor], moments: Moments, bits: int, group: int, alpha: float = ALPHA
) -> Tensor:
    """Factors for all the weights that read one activation.

    Args:
        weights: each ``(rows, columns)``.
        moments: of the activation.
        bits: of the weights; not used, the largest magnitudes decide.
        group: of the weights; not used.
        alpha: how much of the difficulty moves to the weights, 0..1.

    Returns:
        ``(columns,)`` float32, positive, 1 for a channel that is zero on either side.
    """
    largest = torch.stack([weight.abs().amax(dim=0) for weight in weights]).amax(dim=0)
    return balanced(moments.peak, alpha, largest, 1 - alpha)


def balanced(activation: Tensor, power: float, weight: Tensor, inverse_power: float) -> Tensor:
    """``activation^power / weight^inverse_power``, their geometric mean one."""
    known = (activation > 0) & (weight > 0)
    exponent = torch.zeros_like(activation)
    exponent[known] = power * activation[known].log() - inverse_power * weight[known].log()
    if known.any():
        exponent[known] -= exponent[known].mean()
    return exponent.exp().clamp(1 / FARTHEST, FARTHEST)
