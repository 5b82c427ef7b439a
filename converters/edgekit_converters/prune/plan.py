"""How much of each group goes, before it is known which units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.errors import SpecError
from edgekit_converters.prune.groups import Group

# Widths that every kernel takes whole, and that 4-bit weights can be grouped by.
KERNEL = 32


@dataclass(frozen=True)
class Cut:
    """What shrinks, and to what.

    Attributes:
        groups: the units.
        keep: group name -> how many units stay.
        sizes: the config's new numbers.
    """

    groups: tuple[Group, ...]
    keep: Mapping[str, int]
    sizes: Mapping[str, int]


def kept(count: int, amount: float, what: str, multiple: int = 1) -> int:
    """How many of ``count`` units stay, in steps of ``multiple`` where the count is in such steps.

    Raises:
        SpecError: nothing would stay, or nothing would go.
    """
    exact = (1 - amount) * count
    if count % multiple or count <= multiple:
        multiple = 1
    stay = max(multiple, math.floor(exact / multiple + 0.5 + 1e-9) * multiple)
    if exact < 1 - 1e-9 and count > 0:
        most = math.floor(100 * (1 - 1 / count)) / 100
        hint = f"At most --amount {most:g}." if most > 0 else "There is only one."
        raise SpecError(f"an amount of {amount:g} would leave none of {count} {what}", hint=hint)
    if stay >= count:
        least = multiple / count
        raise SpecError(
            f"an amount of {amount:g} removes none of {count} {what}",
            hint=f"They go {multiple} at a time: at least --amount {least:.3g}."
            if count > multiple
            else "There is only one.",
        )
    return stay


def alike(groups: Sequence[Group], stay: int, sizes: Mapping[str, int]) -> Cut:
    """A cut that leaves as many units in every group."""
    return Cut(tuple(groups), {group.name: stay for group in groups}, dict(sizes))
