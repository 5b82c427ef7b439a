"""Neurons of the feed-forward networks, as many in every layer: a config holds one width."""

from __future__ import annotations

from edgekit_converters.prune import plan
from edgekit_converters.prune.architecture import Architecture

UNITS = "feed-forward neurons"


def cut(now: Architecture, full: Architecture, amount: float) -> plan.Cut:
    """What goes of the model as it is now, an amount being a share of the full one's."""
    key = now.facts.FFN
    stay = plan.kept(full.size(key), amount, UNITS, plan.KERNEL)
    return plan.alike(now.along(key, "ffn"), min(stay, now.size(key)), {key: stay})
