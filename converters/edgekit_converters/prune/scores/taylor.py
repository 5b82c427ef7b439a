"""First-order Taylor: ``|w * dL/dw|``, the change of the loss when a weight becomes zero.

Molchanov et al. (1611.06440, 1906.10771). The absolute value is taken for each text, because a
trained model's mean gradient is nearly zero; without right answers the loss is that towards the
model's own answer, or a random direction of the vector.
"""

from __future__ import annotations

from torch import Tensor

from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.first_order import each_gradient

NEEDS_DATA = True
COMPARABLE = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """Mean of ``|w * g|`` over texts, for every weight."""
    weights = evidence.weights()
    total: dict[str, Tensor] = {}
    count = 0
    for gradients in each_gradient(evidence):
        count += 1
        for name, gradient in gradients.items():
            size = (gradient * weights[name].detach()).abs()
            total[name] = total[name] + size if name in total else size
    return {name: tensor / count for name, tensor in total.items()}
