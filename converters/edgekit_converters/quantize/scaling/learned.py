"""Learned factors: the least rounding noise in the output, by gradient descent on a formula for it.

After Shao et al. 2023, "OmniQuant: Omnidirectionally Calibrated Quantization for Large Language
Models" (arXiv 2308.13137), section 3.3, which learns the factors of an equivalent transformation by
running each block. Here the noise is written down instead, and no model is run. A number that is
rounded to steps of ``d`` gets noise of ``d^2 / 12``, so a linear's output gets, up to a constant::

    from the activation   mean over tokens (range(x / s) / 255)^2  *  sum over channels |W s|^2
    from the weight       sum over rows (max|W s| / 127)^2  *  sum over channels mean (x / s)^2

Factors that make one smaller make the other larger. Descent starts from SmoothQuant's answer, which
looks at the largest magnitudes only, and so at the rarest tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.quantize.grid import highest
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.scaling import smoothquant

_STEPS = 40
_RATE = 0.1

# The share of the weight's noise that is left when errors make up for each other, as GPTQ's do.
_LEFT = 0.3

# Tokens and weight rows that the formula is worked out on; spread over all there are.
_TOKENS = 256
_ROWS = 128

# A token with almost no output counts as if it had this share of the mean.
_FAINTEST = 0.05

_ACTIVATION_STEPS = 255


def factors(weights: list[Tensor], moments: Moments, bits: int, group: int) -> Tensor:
    """Factors for all the weights that read one activation.

    Args:
        weights: each ``(rows, columns)``.
        moments: of the activation; its sample of rows stands for the tokens.
        bits: of the weights.
        group: columns of a weight that share a scale; 0 for one scale a row.

    Returns:
        ``(columns,)`` float32, positive; near 1 for a channel that is zero on either side.
    """
    start = smoothquant.factors(weights, moments, bits, group)
    every = torch.cat(weights)
    # Noise is the same for a whole activation times a constant; so that nothing overflows either.
    size = moments.rows.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
    tokens = _thinned(moments.rows, _TOKENS) / size
    power = moments.gram.diagonal() / size / size
    heavy = every / every.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
    thin = _thinned(heavy, _ROWS).abs()
    share = len(every) / len(thin)
    sums = heavy.square().sum(dim=0)
    output = (tokens @ heavy.T).square().sum(dim=1)
    worth = 1 / output.clamp(min=(_FAINTEST * output.mean()).clamp(min=1e-12))
    worth = worth / worth.mean()
    exponents = start.log().requires_grad_()
    optimizer = torch.optim.Adam([exponents], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    with torch.enable_grad():
        for _ in range(_STEPS):
            scale = exponents.exp()
            noise = _from_activation(tokens / scale, worth) * (sums * scale.square()).sum()
            levels = _from_weight(thin * scale, power / scale.square(), highest(bits), group)
            loss = (noise + _LEFT * share * levels).clamp(min=1e-30).log()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    found = exponents.detach().exp()
    limit = smoothquant.FARTHEST
    return (found / found.log().mean().exp()).clamp(1 / limit, limit)


def _from_activation(tokens: Tensor, worth: Tensor) -> Tensor:
    """Mean squared step of the activation, each token with a step of its own."""
    span = tokens.amax(dim=1).clamp(min=0) - tokens.amin(dim=1).clamp(max=0)
    return ((span / _ACTIVATION_STEPS).square() * worth).mean()


def _from_weight(magnitudes: Tensor, power: Tensor, levels: int, group: int) -> Tensor:
    """Squared steps of the weight, each times the power of what it is multiplied with."""
    wide = group or magnitudes.shape[1]
    steps = magnitudes.reshape(len(magnitudes), -1, wide).amax(dim=2) / levels
    return (steps.square().sum(dim=0) * power.reshape(-1, wide).sum(dim=1)).sum()


def _thinned(rows: Tensor, most: int) -> Tensor:
    """At most ``most`` rows, evenly spread."""
    return rows[:: -(-len(rows) // most)]
