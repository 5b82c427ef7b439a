"""The width of the model: entries of the residual stream, and heads where they hang on it."""

from __future__ import annotations

import math

from edgekit_converters.prune import plan
from edgekit_converters.prune.architecture import Architecture

UNITS = "entries of the model's width"


def cut(now: Architecture, full: Architecture, amount: float) -> plan.Cut:
    """What goes of the model as it is now, an amount being a share of the full one's.

    Where the class divides the width among the heads, a head's width stays, and each layer loses
    as many heads as the width does.
    """
    facts = now.facts
    step = plan.KERNEL
    if not now.heads_are_free:
        width = now.head_width
        step = math.lcm(width, plan.KERNEL)
        step = step if full.size(facts.HIDDEN) % step == 0 else width
    stay = plan.kept(full.size(facts.HIDDEN), amount, UNITS, step)
    body = now.throughout(facts.HIDDEN, "hidden")
    keep, sizes, groups = {body.name: stay}, {facts.HIDDEN: stay}, [body]
    if not now.heads_are_free:
        if stay < now.head_width:
            plan.kept(full.size(facts.HEADS), amount, "attention heads")
        sizes[facts.HEADS] = stay // now.head_width
        for group in now.heads():
            groups.append(group)
            keep[group.name] = sizes[facts.HEADS]
    return plan.Cut(tuple(groups), keep, sizes)
