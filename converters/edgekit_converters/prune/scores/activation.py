"""Activation norm: a unit matters as much as what it says (Minitron, 2407.14679).

The score of a weight is the norm of the input that it reads, so that a unit's score, taken over the
layers that read it, is the norm of its own activation.
"""

from __future__ import annotations

from torch import Tensor

from edgekit_converters.prune.evidence import Evidence, linears, norms, spread

NEEDS_DATA = True
COMPARABLE = False
READ_ONLY = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """The norm of its input over all tokens, for each weight of the linear layers."""
    layers = linears(evidence.model)
    found = {}
    for name, norm in norms(evidence).items():
        layer, axis = layers[name]
        weight: Tensor = layer.weight  # type: ignore[assignment]
        found[f"{name}.weight"] = spread(norm, weight, axis).detach()
    return found
