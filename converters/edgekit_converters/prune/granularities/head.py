"""Attention heads, as many in every layer, where the config states the width of a head."""

from __future__ import annotations

from edgekit.errors import Unsupported
from edgekit_converters.prune import plan
from edgekit_converters.prune.architecture import Architecture

UNITS = "attention heads"


def cut(now: Architecture, full: Architecture, amount: float) -> plan.Cut:
    """What goes of the model as it is now, an amount being a share of the full one's.

    Raises:
        Unsupported: the class derives a head's width from the model's, so that fewer heads would be
            wider heads.
    """
    facts = now.facts
    if not now.heads_are_free:
        raise Unsupported(
            f"{now.config.model_type} models cannot hold fewer heads: their class divides "
            f"{facts.HIDDEN} by {facts.HEADS} to get a head's width",
            hint="Units of this architecture: hidden (heads go with the width), ffn, layer, vocab.",
        )
    groups = full.heads()
    units = groups[0].count
    stay = plan.kept(units, amount, UNITS)
    per = full.size(facts.HEADS) // units
    sizes = {facts.HEADS: stay * per}
    if hasattr(facts, "KEY_HEADS") and full.key_heads > 1:
        sizes[facts.KEY_HEADS] = stay
    return plan.alike(now.heads(), stay, sizes)
