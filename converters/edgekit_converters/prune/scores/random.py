"""Random: the control that every other criterion has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.prune.evidence import Evidence

NEEDS_DATA = False
COMPARABLE = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """A uniform random number for every weight."""
    draw = evidence.generator()
    return {name: torch.rand(w.shape, generator=draw) for name, w in evidence.weights().items()}


def unit_score(evidence: Evidence, units: int, place: int) -> Tensor:
    """A uniform random number for every unit: a sum of many would be the same for all.

    Args:
        evidence: whose seed is used.
        units: how many.
        place: number of the group, so that groups differ.
    """
    draw = torch.Generator().manual_seed(evidence.seed * 100_003 + place)
    return torch.rand(units, generator=draw, dtype=torch.float64)
