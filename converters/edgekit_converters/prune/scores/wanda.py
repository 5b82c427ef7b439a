"""Wanda: ``|w_ij| * ||x_j||``, ranked within each output (Sun et al. 2023, 2306.11695)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgekit_converters.prune.evidence import Evidence, linears, norms, spread

NEEDS_DATA = True
COMPARABLE = False
PER_OUTPUT = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """A number for each weight of the linear layers; the norm is over all tokens of all texts."""
    found = {}
    layers = linears(evidence.model)
    for name, norm in norms(evidence).items():
        layer, axis = layers[name]
        weight: Any = layer.weight
        weight = weight.detach()
        found[f"{name}.weight"] = weight.abs() * spread(norm, weight, axis)
    return found
