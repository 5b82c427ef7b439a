"""Magnitude: a weight matters as much as its absolute value (Han et al. 2015, 1506.02626)."""

from __future__ import annotations

from torch import Tensor

from edgekit_converters.prune.evidence import Evidence

NEEDS_DATA = False
# Whether values of different tensors mean the same, so that they can be ranked together.
COMPARABLE = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """``|w|`` of every weight."""
    return {name: weight.detach().abs() for name, weight in evidence.weights().items()}
