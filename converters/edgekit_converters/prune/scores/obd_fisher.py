"""Optimal Brain Damage with the empirical Fisher: ``E[g^2] * w^2 / 2``, g from the right answers.

LeCun, Denker and Solla (NIPS 1989) with the curvature that Theis et al. (1801.05787) use: squared
gradients of single texts. Where a text has no right answer (vectors, a classifier without labels)
the model's own likeliest answer, or a random direction, stands in.
"""

from __future__ import annotations

from torch import Tensor

from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.first_order import each_gradient
from edgekit_converters.prune.scores import obd

NEEDS_DATA = True
COMPARABLE = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """``E[g^2] * w^2 / 2`` of every weight; the mean is over texts."""
    total: dict[str, Tensor] = {}
    count = 0
    for gradients in each_gradient(evidence):
        count += 1
        for name, gradient in gradients.items():
            squares = gradient.square()
            total[name] = total[name] + squares if name in total else squares
    return obd.saliency(evidence, {name: squares / count for name, squares in total.items()})
