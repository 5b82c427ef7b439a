"""What each part of a model can stand: the loss when one group of tensors alone is changed.

A group is changed, everything else stays float32, and real text shows how far the output turns. The
losses of different groups nearly add up, which ``additivity`` measures: a sum over groups predicts
a mix that was never tried. Nothing here knows what the change is: fewer bits, or pruning
by some amount, give the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgekit.parity import cosines
from edgekit_converters.quantize.plan import FP32, Setting, Unit, stored_bytes
from edgekit_converters.quantize.simulate import Simulation, Treatment, Variant

Arguments = tuple[Tensor, ...]
Floats = NDArray[np.float32]
Losses = NDArray[np.float64]

# The part of an output that is compared, ``(rows, features)``, from the output and its inputs.
Rows = Callable[[Floats, Arguments], Floats]

# What one group becomes under one setting.
Treat = Callable[[Sequence[Unit], Setting], Variant]

# Variants simulated together: more share more work, and keep more outputs in memory.
_TOGETHER = 8


@dataclass(frozen=True)
class Option:
    """One thing that can be done to a group.

    Attributes:
        amount: its name among the group's options, such as ``int8 per row``.
        bytes: what the group then takes.
        variant: the treatment of each of its tensors; empty to leave them alone.
    """

    amount: str
    bytes: int
    variant: Mapping[str, Treatment] = field(default_factory=dict)


@dataclass(frozen=True)
class Sensitivity:
    """What one option of one group costs in quality and bytes.

    Attributes:
        group: name of the group.
        amount: name of the option.
        bytes: what the group takes with it.
        losses: 1 - cosine of each text's output, everything else being float32.
    """

    group: str
    amount: str
    bytes: int
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean loss over the texts."""
        return float(np.mean(self.losses))

    @property
    def worst(self) -> float:
        """Loss of the worst text."""
        return max(self.losses)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for a report."""
        return {
            "group": self.group,
            "amount": self.amount,
            "bytes": self.bytes,
            "mean_loss": self.mean,
            "worst_loss": self.worst,
            "losses": list(self.losses),
        }


def groups(units: Iterable[Unit]) -> dict[str, tuple[Unit, ...]]:
    """Tensors that get one setting together, in graph order.

    Linears that read one activation are a group, since they share its smoothing; so attention's
    queries, keys and values are one. A table is a group of its own.
    """
    found: dict[str, list[Unit]] = {}
    for unit in units:
        # A node's name is an identifier: it never looks like a table's key.
        key = unit.activation if unit.kind == "linear" else f"table {unit.name}"
        found.setdefault(key, []).append(unit)
    return {_name(members): tuple(members) for members in found.values()}


def _name(members: Sequence[Unit]) -> str:
    """The members' names with what differs in brackets."""
    paths = [member.name.split(".") for member in members]
    before = _shared(paths)
    after = _shared([path[before:][::-1] for path in paths])
    middles = [".".join(path[before : len(path) - after]) for path in paths]
    start, end = paths[0][:before], paths[0][len(paths[0]) - after :]
    middle = [f"({'|'.join(middles)})"] if any(middles) else []
    return ".".join([*start, *middle, *end])


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many parts all paths begin with."""
    count = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        count += 1
    return count


def options(
    units: Mapping[str, Sequence[Unit]],
    settings: Callable[[Unit], Sequence[Setting]],
    treat: Treat,
) -> dict[str, tuple[Option, ...]]:
    """What can be done to each group.

    Args:
        units: the groups.
        settings: which settings a tensor may have; asked of each group's first one.
        treat: calibrates a group for one setting; never asked for float32.
    """
    return {
        name: tuple(
            Option(
                setting.label,
                sum(stored_bytes(unit, setting) for unit in members),
                {} if setting.bits == FP32 else treat(members, setting),
            )
            for setting in settings(members[0])
        )
        for name, members in units.items()
    }


def losses(
    simulation: Simulation,
    variants: Sequence[Variant],
    inputs: Sequence[Arguments],
    rows: Rows | None = None,
) -> Losses:
    """1 - cosine of every variant's output against the graph's own, ``(variants, texts)``.

    Args:
        simulation: of the float32 graph.
        variants: what to try.
        inputs: one tuple of arguments a text.
        rows: the part of an output to compare; all of it when None.
    """
    take = rows or _every_row
    found: list[Losses] = []
    for start in range(0, len(variants), _TOGETHER):
        part = variants[start : start + _TOGETHER]
        kept: list[list[Floats]] = [[] for _ in range(len(part) + 1)]
        for arguments, outputs in zip(inputs, simulation.compare(part, inputs), strict=True):
            for place, output in enumerate(outputs):
                kept[place].append(take(output.numpy(), arguments))
        found += [1 - cosines(kept[0], other) for other in kept[1:]]
    return np.array(found).reshape(len(variants), len(inputs))


def _every_row(output: Floats, arguments: Arguments) -> Floats:
    return output.reshape(-1, output.shape[-1])


def scan(
    simulation: Simulation,
    offered: Mapping[str, Sequence[Option]],
    inputs: Sequence[Arguments],
    rows: Rows | None = None,
) -> list[Sensitivity]:
    """Try every option of every group alone.

    Args:
        simulation: of the float32 graph.
        offered: options by group.
        inputs: real text, one tuple of arguments each.
        rows: the part of an output to compare; all of it when None.
    """
    every = [(group, option) for group, chosen in offered.items() for option in chosen]
    changed = [option.variant for _, option in every if option.variant]
    measured = iter(losses(simulation, changed, inputs, rows))
    none = np.zeros(len(inputs))
    found = []
    for group, option in every:
        row = next(measured) if option.variant else none
        found.append(
            Sensitivity(group, option.amount, option.bytes, tuple(float(loss) for loss in row))
        )
    return found


def merged(offered: Mapping[str, Sequence[Option]], amounts: Mapping[str, str]) -> Variant:
    """The variant in which every group has its named option."""
    chosen = {(group, o.amount): o.variant for group, many in offered.items() for o in many}
    mix: dict[str, Treatment] = {}
    for group, amount in amounts.items():
        mix |= chosen[group, amount]
    return mix
