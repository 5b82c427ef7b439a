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
_LEFT = 0.7

# Tokens and weight rows that the formula is worked out on, spread over all there are; fewer where
# only groups are chosen.
_TOKENS, _FEW_TOKENS = 1024, 128
_ROWS = 128

# A token with almost no output counts as if it had this share of the mean.
_FAINTEST = 0.05

_ACTIVATION_STEPS = 255

# How many times the noise that a linear could have by itself is too much to share factors for.
_APART = 1.4


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
    return _descend(_Noise(weights, moments, bits, group, _TOKENS), weights, moments, bits, group)


def _descend(
    noise: _Noise, weights: list[Tensor], moments: Moments, bits: int, group: int
) -> Tensor:
    start = smoothquant.factors(weights, moments, bits, group)
    exponents = start.log().requires_grad_()
    optimizer = torch.optim.Adam([exponents], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    with torch.enable_grad():
        for _ in range(_STEPS):
            loss = noise.of(exponents.exp()).clamp(min=1e-30).log()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    found = exponents.detach().exp()
    limit = smoothquant.FARTHEST
    return (found / found.log().mean().exp()).clamp(1 / limit, limit)


def groups(weights: list[Tensor], moments: Moments, bits: int, group: int) -> list[list[int]]:
    """Which weights lose little by sharing their factors.

    Queries and keys do. What suits them makes the noise of the values 1.6 to 2.7 times what it
    could be, layer by layer of all-MiniLM-L6-v2.

    Args:
        weights: each ``(rows, columns)``.
        moments: as for ``factors``, like the rest.
        bits: of the weights.
        group: columns of a weight that share a scale.

    Returns:
        Indices of the weights, each once; a weight joins the first group that it gets on with.
    """

    def few(*indices: int) -> tuple[_Noise, Tensor]:
        chosen = [weights[index] for index in indices]
        noise = _Noise(chosen, moments, bits, group, _FEW_TOKENS)
        return noise, _descend(noise, chosen, moments, bits, group)

    if len(weights) == 1:
        return [[0]]
    alone = [few(index) for index in range(len(weights))]
    most = [_APART * float(noise.of(own)) for noise, own in alone]
    found: list[list[int]] = []
    for index in range(len(weights)):
        for members in found:
            joined = [*members, index]
            _, shared = few(*joined)
            if all(float(alone[one][0].of(shared)) <= most[one] for one in joined):
                members.append(index)
                break
        else:
            found.append([index])
    return found


class _Noise:
    """The formula for some weights that read one activation."""

    def __init__(
        self, weights: list[Tensor], moments: Moments, bits: int, group: int, tokens: int
    ) -> None:
        every = torch.cat(weights)
        # Noise is the same for a whole activation times a constant; and nothing overflows.
        size = moments.rows.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
        heavy = every / every.abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
        self._tokens = _thinned(moments.rows, tokens) / size
        self._power = moments.gram.diagonal() / size / size
        self._thin = _thinned(heavy, _ROWS).abs()
        self._share = len(every) / len(self._thin)
        self._sums = heavy.square().sum(dim=0)
        output = (self._tokens @ heavy.T).square().sum(dim=1)
        worth = 1 / output.clamp(min=(_FAINTEST * output.mean()).clamp(min=1e-12))
        self._worth = worth / worth.mean()
        self._levels, self._group = highest(bits), group

    def of(self, scale: Tensor) -> Tensor:
        """What factors cost, in units of its own."""
        spread = _from_activation(self._tokens / scale, self._worth)
        power = self._power / scale.square()
        rounding = _from_weight(self._thin * scale, power, self._levels, self._group)
        return spread * (self._sums * scale.square()).sum() + _LEFT * self._share * rounding


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
