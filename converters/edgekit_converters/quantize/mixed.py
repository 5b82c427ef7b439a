"""Bits tensor by tensor under a budget: scan, check that losses add up, choose, and choose again.

What a group of tensors loses is measured on the calibration texts; the caller holds each pick
against other texts. A pick that misses its budget teaches the next one by how much sums are off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from torch.fx import GraphModule

from edgekit.errors import CheckFailed
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.quantize.budget import Budget
from edgekit_converters.quantize.decisions import untie, weight
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.moments import moments
from edgekit_converters.quantize.ordered import as_lookups
from edgekit_converters.quantize.plan import FP32, GROUPS, NOT_ASKED, Setting, Unit
from edgekit_converters.quantize.search import cost, frontier
from edgekit_converters.quantize.search.additivity import Additivity, additivity
from edgekit_converters.quantize.search.allocate import Allocation, Limits, Rules, solutions
from edgekit_converters.quantize.search.calibrated import treat
from edgekit_converters.quantize.search.sensitivity import (
    Arguments,
    Option,
    Rows,
    groups,
    losses,
    merged,
    options,
    scan,
)
from edgekit_converters.quantize.search.timing import Times
from edgekit_converters.quantize.settings import Choice, settle
from edgekit_converters.quantize.simulate import Simulation
from edgekit_converters.quantize.units import units

# Texts that losses are measured on, and short ones beside them.
_TEXTS, _SHORT = 40, 120
_TRIES = 5
_KEPT = Setting(FP32, reason=NOT_ASKED)
# Of timing all kinds of linears, besides making their programs.
_SECONDS = 20.0


@dataclass(frozen=True)
class Missed:
    """What a choice came to that misses its budget.

    Attributes:
        bytes: what the weights take.
        worst_cosine: of the texts that it was held against.
        milliseconds: of one run; None where it was not timed.
    """

    bytes: int
    worst_cosine: float
    milliseconds: float | None = None


Hold = Callable[[dict[str, Setting]], Missed | None]


class Search:
    """A scanned graph, to choose bits for."""

    def __init__(
        self,
        graph: GraphModule,
        choice: Choice,
        calibrators: Calibrators,
        inputs: Sequence[Arguments],
        rows: Rows | None,
        short: Sequence[Arguments] = (),
    ) -> None:
        """Measure what every group of tensors loses with 8 and with 4 bits.

        Args:
            graph: captured and rewritten, float32; weights that are shared get their own names.
            choice: group width and overrides; a group with an overridden tensor has no choice.
            calibrators: methods; outliers are not split during the search.
            inputs: calibration inputs.
            rows: the part of an output that is compared; all of it when None.
            short: inputs of very short texts, which lose most: tried on beside the others.
        """
        untie(graph)
        if calibrators.ordered:
            as_lookups(graph)
        self._units = units(graph)
        self._choice = choice
        self._candidates = _candidates(self._units, choice)
        self._groups = groups(self._units)
        watched = {unit.activation for unit in self._units if unit.kind == "linear"}
        weights = {unit.name: weight(graph, unit.name) for unit in self._units}
        seen = moments(graph, watched, inputs)
        self._rows = rows
        self._inputs = [*_some(inputs, _TEXTS), *_some(short, _SHORT)]
        self._simulation = Simulation(graph, self._units)
        self._offered = options(self._groups, self._settings, treat(weights, seen, calibrators))
        self._scanned = scan(self._simulation, self._offered, self._inputs, rows)
        self.additivity: Additivity = additivity(
            self._simulation, self._offered, self._scanned, self._inputs, rows
        )
        self._fixed = weight_bytes(graph).other
        if calibrators.scaling:
            linears = (many[0] for many in self._groups.values() if many[0].kind == "linear")
            self._fixed += sum(4 * first.columns for first in linears)

    def choose(
        self,
        budget: Budget,
        fp32_bytes: int,
        hold: Hold,
        fp32_milliseconds: float | None = None,
        eased: float = 1.0,
    ) -> Allocation:
        """The best choice within a budget that holds it when it is measured.

        Args:
            budget: what must hold.
            fp32_bytes: what a share in it is of.
            hold: carries a choice out; says by what it misses the budget, or None.
            fp32_milliseconds: one run of the fp32 artifact; needed for a limit on time.
            eased: what ``hold`` is expected to leave of a loss before it measures.

        Returns:
            What was predicted of the choice that ``hold`` accepted.

        Raises:
            CheckFailed: no choice holds the budget.
        """
        rules = self._rules(budget)
        limits = self._limits(budget, fp32_bytes, rules, fp32_milliseconds)
        limits = replace(limits, worst_ratio=limits.worst_ratio * eased)
        tried: list[dict[str, str]] = []
        for _ in range(_TRIES):
            ranked = solutions(self._scanned, limits, rules)
            pick = next((one for one in ranked if one.amounts not in tried), None)
            if pick is None:
                break
            tried.append(pick.amounts)
            missed = hold(self._chosen(pick))
            if missed is None:
                return pick
            limits = _corrected(limits, pick, missed)
        raise CheckFailed(
            f"none of {len(tried)} mixed plans held the budget when it was measured",
            hint="Allow more bytes or time, or ask for a little less quality.",
        )

    def measure_kinds(self, tokens: int) -> None:
        """Time every linear that may be chosen, or read the times that are kept; ``cost.table``."""
        self._times(tokens)

    def _times(self, tokens: int) -> Times:
        return cost.table(cost.kinds(self._groups, self._with_fp32), (tokens,), _SECONDS)

    def plot(
        self, path: Path, fp32_bytes: int, peers: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        """Draw what every size buys, beside one width for all.

        Args:
            path: the SVG.
            fp32_bytes: of the weights: no budget is larger.
            peers: bytes and worst cosine of other artifacts, by name.

        Raises:
            Unavailable: matplotlib is not installed.
            CannotWrite, StorageFull: the file cannot be written.
        """
        limits = self._limits(Budget(bytes=fp32_bytes), fp32_bytes, Rules())
        points = frontier.sweep(
            self._simulation, self._offered, self._scanned, self._inputs, limits, rows=self._rows
        )
        frontier.draw(points, self._uniform() | dict(peers or {}), path)

    def _settings(self, unit: Unit) -> Sequence[Setting]:
        return self._candidates[unit.name]

    def _limits(
        self,
        budget: Budget,
        fp32_bytes: int,
        rules: Rules,
        fp32_milliseconds: float | None = None,
    ) -> Limits:
        size = budget.most_bytes(fp32_bytes)
        time, rest = None, 0.0
        if budget.timed and fp32_milliseconds is not None:
            time = budget.most_milliseconds(fp32_milliseconds)
            # What is no linear takes what fp32 shows that it takes, whatever the bits.
            linear = sum(rules.milliseconds[name, _KEPT.label] for name in self._groups)
            rest = max(0.0, fp32_milliseconds - linear)
        return Limits(
            objective="bytes" if size is None and time is None else "worst",
            bytes=size,
            fixed_bytes=self._fixed,
            worst_cosine=budget.worst_cosine,
            milliseconds=time,
            fixed_milliseconds=rest,
            worst_ratio=self.additivity.worst_ratio,
            mean_ratio=self.additivity.mean_ratio,
        )

    def _rules(self, budget: Budget) -> Rules:
        if not budget.timed:
            return Rules()
        times = self._times(budget.tokens)
        spent = cost.of_options(self._groups, self._with_fp32, times, budget.tokens)
        small = budget.bytes is not None or budget.share is not None
        return Rules(allowed={} if small else self._rounded_tables(), milliseconds=spent)

    def _rounded_tables(self) -> dict[str, tuple[str, ...]]:
        """Integers for tables where only time is limited: a lookup is as fast in fp32, and no more.

        Quality alone would keep the largest tensor of a small model in fp32 for its last digit.
        """
        found = {
            name: tuple(one.label for one in self._candidates[members[0].name] if one.bits != FP32)
            for name, members in self._groups.items()
            if members[0].kind == "table"
        }
        return {name: amounts for name, amounts in found.items() if amounts}

    def _with_fp32(self, unit: Unit) -> Sequence[Setting]:
        """What is timed: a limit is a share of fp32's time, whether or not fp32 may be chosen."""
        known = self._candidates[unit.name]
        return known if any(one.bits == FP32 for one in known) else (*known, _KEPT)

    def _chosen(self, pick: Allocation) -> dict[str, Setting]:
        by_label = {
            (name, one.label): one
            for name, members in self._groups.items()
            for one in self._candidates[members[0].name]
        }
        found = {
            unit.name: by_label[name, pick.amounts[name]]
            for name, members in self._groups.items()
            for unit in members
        }
        asked = settle(self._units, self._choice)
        for unit in self._units:
            if _overridden(unit, self._choice):
                found[unit.name] = asked[unit.name]
        return found

    def _uniform(self) -> dict[str, tuple[int, float]]:
        """Size and worst cosine of one width for all, as far as each tensor can have it."""
        found = {}
        for bits in (8, 4):
            amounts = {name: _nearest(many, bits) for name, many in self._offered.items()}
            mix = merged(self._offered, amounts)
            loss = losses(self._simulation, [mix], self._inputs, self._rows)
            size = sum(
                option.bytes
                for name, many in self._offered.items()
                for option in many
                if option.amount == amounts[name]
            )
            found[f"all int{bits}"] = (self._fixed + size, 1 - float(loss.max()))
        return found


def _nearest(many: Sequence[Option], bits: int) -> str:
    """The option of a width, or the one that is nearest to it in size."""
    fitting = [option.amount for option in many if option.amount.startswith(f"int{bits} ")]
    smallest = min(many, key=lambda option: option.bytes).amount
    return fitting[0] if fitting else smallest


def _candidates(found: Sequence[Unit], choice: Choice) -> dict[str, tuple[Setting, ...]]:
    """Settings that each tensor may get, the widest first."""
    asked = settle(found, choice)
    groups_tried = GROUPS if choice.group is None else (choice.group,)
    fewer = [(8, None), *((4, group) for group in groups_tried)]
    rounded = [
        settle(found, replace(choice, linear=bits, table=bits, group=group))
        for bits, group in fewer
    ]
    candidates: dict[str, tuple[Setting, ...]] = {}
    for members in groups(found).values():
        first = members[0].name
        if any(_overridden(unit, choice) for unit in members) or asked[first].bits == FP32:
            own: tuple[Setting, ...] = (asked[first],)
        else:
            every = (_KEPT, *(settings[first] for settings in rounded))
            # The first of a label: a narrower group in place of a wider one is known already.
            own = tuple({one.label: one for one in reversed(every)}.values())[::-1]
        candidates |= {unit.name: own for unit in members}
    return candidates


def _some(inputs: Sequence[Arguments], count: int) -> Sequence[Arguments]:
    """So many of them, spread evenly."""
    return inputs[:: max(1, len(inputs) // count)][:count]


def _overridden(unit: Unit, choice: Choice) -> bool:
    return any(fnmatchcase(unit.name, one.match) for one in choice.overrides)


def _corrected(limits: Limits, pick: Allocation, missed: Missed) -> Limits:
    """The limits with what a miss teaches of the distance from prediction to measurement."""
    # Parted outliers come with scales and factors of their own, which no option counts.
    fixed = limits.fixed_bytes + missed.bytes - pick.bytes
    ratio = limits.worst_ratio
    predicted, measured = 1 - pick.worst_cosine, 1 - missed.worst_cosine
    if 0 < predicted < measured:
        ratio *= measured / predicted
    rest = limits.fixed_milliseconds
    if missed.milliseconds is not None and pick.milliseconds is not None:
        rest = max(0.0, rest + missed.milliseconds - pick.milliseconds)
    return replace(limits, fixed_bytes=fixed, worst_ratio=ratio, fixed_milliseconds=rest)
