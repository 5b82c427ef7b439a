"""The width of the model: entries of the residual stream, and heads where they hang on it."""

from __future__ import annotations

import math

from edgekit.errors import SpecError
from edgekit_converters.prune import plan
from edgekit_converters.prune.architecture import Architecture

UNITS = "entries of the model's width"


def cut(now: Architecture, full: Architecture, amount: float) -> plan.Cut:
    """What goes of the model as it is now, an amount being a share of the full one's.

    Where the class divides the width among the heads, a head's width stays, and each layer loses
    as many heads as the width does.

    Raises:
        SpecError: nothing would stay, nothing would go, or a projection between the token table
            and the width would be needed, or not be, unlike before (ELECTRA).
    """
    facts = now.facts
    step = plan.KERNEL
    if not now.heads_are_free:
        width = now.head_width
        step = math.lcm(width, plan.KERNEL)
        step = step if full.size(facts.HIDDEN) % step == 0 else width
    stay = plan.kept(full.size(facts.HIDDEN), amount, UNITS, step)
    table, was = getattr(now.config, "embedding_size", None), now.size(facts.HIDDEN)
    if table in (stay, was):
        raise SpecError(
            f"an amount of {amount:g} leaves a width of {stay}, and the token table has {table}: "
            f"{now.config.model_type} models have a projection between the two only where they "
            "differ",
            hint="Choose an amount that leaves another width."
            if table == stay
            else "Remove other units: --granularity ffn or layer.",
        )
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
