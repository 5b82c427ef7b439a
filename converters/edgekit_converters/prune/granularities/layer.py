"""Whole layers; encoder and decoder of a model that has both lose the same share."""

from __future__ import annotations

from edgekit_converters.prune import plan
from edgekit_converters.prune.architecture import Architecture

UNITS = "layers"


def cut(now: Architecture, full: Architecture, amount: float) -> plan.Cut:
    """What goes of the model as it is now, an amount being a share of the full one's."""
    groups, keep, sizes = now.layers(), {}, {}
    keys = list(now.facts.LAYERS.values())
    for group, key in zip(groups, keys, strict=False):
        keep[group.name] = sizes[key] = plan.kept(full.size(key), amount, UNITS)
    return plan.Cut(groups, keep, sizes)
