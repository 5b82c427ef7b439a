"""Movement: keep the weights that training moves away from zero (Sanh et al. 2020, 2005.07683).

``S -= w * dL/dw`` over some steps of training under the mask that S itself gives, whose gradient
passes straight through the mask. The loss is that of the right answers where there are some, else
the distance to the unpruned model. The model is as it was afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.prune.evidence import Batch, Evidence, linears
from edgekit_converters.prune.subject import loss

NEEDS_DATA = True
COMPARABLE = False
_STEPS = 48
_RATE = 0.01


def score(evidence: Evidence) -> dict[str, Tensor]:
    """Accumulated movement of every weight of the linear layers."""
    draw = evidence.generator()
    weights = evidence.weights()
    named = {f"{name}.weight" for name in linears(evidence.model)} & weights.keys()
    before = {name: weights[name].detach().clone() for name in named}
    moving = {name: tensor.clone() for name, tensor in before.items()}
    # Something must go in the first step already, or nothing pulls at anything.
    totals = {n: 1e-12 * torch.rand(before[n].shape, generator=draw) for n in sorted(named)}
    with torch.no_grad():
        targets = [evidence.rows(evidence.model, batch) for batch in evidence.batches]
    try:
        with evidence.differentiable():
            for step in range(_STEPS):
                place = step % len(evidence.batches)
                share = evidence.amount * min(1.0, (step + 1) / (0.75 * _STEPS))
                gradients = _step(
                    evidence, evidence.batches[place], targets[place], moving, totals, share
                )
                _move(totals, moving, gradients)
    finally:
        _restore(weights, before)
    return totals


def _step(
    evidence: Evidence,
    batch: Batch,
    target: Tensor,
    moving: dict[str, Tensor],
    totals: dict[str, Tensor],
    share: float,
) -> dict[str, Tensor]:
    weights = evidence.weights()
    with torch.no_grad():
        for name, total in totals.items():
            count = int(share * total.numel())
            lowest = total.flatten().argsort()[:count]
            weights[name].copy_(moving[name])
            weights[name].view(-1)[lowest] = 0.0
    rows = evidence.rows(evidence.model, batch)
    answers = evidence.answers(batch)
    if answers is None:
        return evidence.gradients(loss(rows, target, evidence.categorical))
    return evidence.gradients(F.cross_entropy(rows, answers, ignore_index=-100))


def _move(
    totals: dict[str, Tensor], moving: dict[str, Tensor], gradients: dict[str, Tensor]
) -> None:
    for name, total in totals.items():
        if name in gradients:
            # One scale for all tensors: only the direction of a step is taken.
            gradient = gradients[name] / gradients[name].norm().clamp_min(1e-12)
            total -= moving[name] * gradient
            moving[name] -= _RATE * gradient * moving[name].norm()


def _restore(weights: dict[str, torch.nn.Parameter], before: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in before.items():
            weights[name].copy_(tensor)
