"""One option for every group of tensors, by an exact integer program.

Losses, bytes and milliseconds add up over groups, so the best choice under a budget is a small 0-1
program: one option a group, sums under their limits, the least loss (or the fewest bytes) wins. A
text's loss is the sum of what the groups lose on that text; the loss of the worst text is minimised
as a bound over all of them. scipy's ``milp`` solves it to optimality.

Sums are predictions. ``Limits.mean_ratio`` and ``worst_ratio`` carry what the additive check
measured, and ``solutions`` goes on to the next best where the pick turns out to miss.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import CheckFailed, InternalError, SpecError, Unavailable
from edgekit.runtime.silence import native_silence
from edgekit_converters.quantize.search.sensitivity import Sensitivity

Matrix = NDArray[np.float64]

OBJECTIVES = ("worst", "mean", "bytes", "milliseconds")

# What is left of the other loss in the objective, so that ties are settled by it.
_TIE = 1e-4


@dataclass(frozen=True)
class Limits:
    """What must hold, and what is then made least.

    Attributes:
        objective: ``worst`` or ``mean`` loss, ``bytes``, or ``milliseconds``.
        bytes: the most that the artifact may take, ``fixed_bytes`` included.
        fixed_bytes: what it takes besides the groups.
        worst_cosine: the least that the worst text may have.
        mean_cosine: the least that the mean over all texts may have.
        milliseconds: the most that one run may take, ``fixed_milliseconds`` included.
        fixed_milliseconds: what a run takes besides the groups.
        worst_ratio: measured by predicted loss of the worst text.
        mean_ratio: measured by predicted mean loss.
    """

    objective: str = "worst"
    bytes: int | None = None
    fixed_bytes: int = 0
    worst_cosine: float | None = None
    mean_cosine: float | None = None
    milliseconds: float | None = None
    fixed_milliseconds: float = 0.0
    worst_ratio: float = 1.0
    mean_ratio: float = 1.0


@dataclass(frozen=True)
class Rules:
    """What is not up to the program.

    Attributes:
        given: amount by group, decided already.
        allowed: amounts by group; a group that is missing may have all that were scanned.
        tied: sets of groups that must have one amount, because they share a tensor.
        milliseconds: of one group's option; needed for a limit on time, or to minimise it.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    allowed: Mapping[str, Collection[str]] = field(default_factory=dict)
    tied: Sequence[Collection[str]] = ()
    milliseconds: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Allocation:
    """A choice for every group, and what is predicted of it.

    Attributes:
        amounts: option by group.
        bytes: of the artifact.
        worst_cosine: predicted, calibrated.
        mean_cosine: predicted, calibrated.
        milliseconds: predicted; None where no times were given.
    """

    amounts: dict[str, str]
    bytes: int
    worst_cosine: float
    mean_cosine: float
    milliseconds: float | None


def allocate(
    scanned: Sequence[Sensitivity], limits: Limits, rules: Rules | None = None
) -> Allocation:
    """The best choice within the limits.

    Raises:
        CheckFailed: no choice holds them all; the hint has the nearest that does.
        SpecError: rules or limits that name what was not scanned.
        Unavailable: scipy is not installed.
    """
    return next(solutions(scanned, limits, rules))


def solutions(
    scanned: Sequence[Sensitivity], limits: Limits, rules: Rules | None = None
) -> Iterator[Allocation]:
    """Choices within the limits, best first, each different from those before.

    Raises:
        CheckFailed, SpecError, Unavailable: as ``allocate``, when the first is asked for.
    """
    program = _Program(scanned, limits, rules or Rules())
    first = program.solve()
    if first is None:
        raise _impossible(scanned, limits, rules or Rules())
    yield first
    while (following := program.solve()) is not None:
        yield following


class _Program:
    """The options as columns, and the choices that were found already."""

    def __init__(self, scanned: Sequence[Sensitivity], limits: Limits, rules: Rules) -> None:
        _check(scanned, limits, rules)
        self.limits = limits
        self.rules = rules
        self.columns = [one for one in scanned if _may(one, rules)]
        self.groups = list(dict.fromkeys(one.group for one in scanned))
        self.losses: Matrix = np.array([one.losses for one in self.columns], dtype=np.float64).T
        self.bytes: Matrix = np.array([one.bytes for one in self.columns], dtype=np.float64)
        self.times: Matrix = np.array(
            [rules.milliseconds.get((one.group, one.amount), 0.0) for one in self.columns]
        )
        self.excluded: list[Matrix] = []

    def solve(self) -> Allocation | None:
        """The best choice that was not found before; None when there is none left."""
        while True:
            chosen = self._optimum()
            if chosen is None:
                return None
            self.excluded.append(chosen)
            found = self._allocation(chosen)
            # The solver's tolerance is relative; the limits here are to the byte.
            if _holds(found, self.limits):
                return found

    def _optimum(self) -> Matrix | None:
        """0 or 1 for every column."""
        optimize = _scipy()
        count = len(self.columns)
        unit = float(self.losses.max()) or 1.0
        rows = [*self._structure(), *self._bounds()]
        # One more variable: the loss of the worst text, in units of the largest single loss.
        worst = np.hstack([self.losses / unit, -np.ones((len(self.losses), 1))])
        constraints = [optimize.LinearConstraint(worst, -np.inf, 0.0)]
        limits = np.array([[low, high] for _, low, high in rows])
        matrix = np.array([np.append(row, 0.0) for row, _, _ in rows])
        constraints.append(optimize.LinearConstraint(matrix, limits[:, 0], limits[:, 1]))
        most = np.append(np.ones(count), np.inf)
        if self.limits.worst_cosine is not None:
            most[-1] = (1 - self.limits.worst_cosine) / self.limits.worst_ratio / unit
        if most[-1] < 0:
            return None
        # The solver, asked to be quiet, still writes a line to stdout now and then.
        with native_silence(1):
            answer = optimize.milp(
                self._objective(unit),
                integrality=np.append(np.ones(count), 0.0),
                bounds=optimize.Bounds(np.zeros(count + 1), most),
                constraints=constraints,
                options={"mip_rel_gap": 0.0},
            )
        if answer.status == 2:  # infeasible
            return None
        if answer.x is None:
            raise InternalError(f"the integer program was not solved: {answer.message}")
        chosen: Matrix = np.round(answer.x[:count])
        return chosen

    def _objective(self, unit: float) -> Matrix:
        mean = self.losses.mean(axis=0) / unit
        match self.limits.objective:
            case "worst":
                return np.append(_TIE * mean, 1.0)
            case "mean":
                return np.append(mean, _TIE)
            case "bytes":
                return np.append(self.bytes / self.bytes.max() + _TIE**2 * mean, 0.0)
            case _:
                return np.append(self.times / (self.times.max() or 1.0) + _TIE**2 * mean, 0.0)

    def _structure(self) -> Iterator[tuple[Matrix, float, float]]:
        """One option a group, the same one in tied groups, none of the choices found already."""
        for group in self.groups:
            yield self._where(group), 1.0, 1.0
        for tied in self.rules.tied:
            first, *others = sorted(tied)
            amounts = sorted({one.amount for one in self.columns if one.group in tied})
            for other in others:
                for amount in amounts:
                    row = self._where(first, amount) - self._where(other, amount)
                    yield row, 0.0, 0.0
        for chosen in self.excluded:
            yield chosen, -np.inf, len(self.groups) - 1.0

    def _bounds(self) -> Iterator[tuple[Matrix, float, float]]:
        """Sums under their limits, each in units of its limit."""
        limits = self.limits
        if limits.bytes is not None:
            room = limits.bytes - limits.fixed_bytes
            yield self.bytes / limits.bytes, -np.inf, room / limits.bytes
        if limits.milliseconds is not None:
            room_ms = limits.milliseconds - limits.fixed_milliseconds
            yield self.times / limits.milliseconds, -np.inf, room_ms / limits.milliseconds
        if limits.mean_cosine is not None:
            unit = float(self.losses.max()) or 1.0
            most = (1 - limits.mean_cosine) / limits.mean_ratio / unit
            yield self.losses.mean(axis=0) / unit, -np.inf, most

    def _where(self, group: str, amount: str | None = None) -> Matrix:
        return np.array(
            [one.group == group and amount in (None, one.amount) for one in self.columns],
            dtype=np.float64,
        )

    def _allocation(self, chosen: Matrix) -> Allocation:
        picked = [one for one, taken in zip(self.columns, chosen, strict=True) if taken]
        loss = self.losses @ chosen
        times = self.rules.milliseconds
        spent = sum(times.get((one.group, one.amount), 0.0) for one in picked)
        return Allocation(
            {one.group: one.amount for one in picked},
            self.limits.fixed_bytes + sum(one.bytes for one in picked),
            1 - float(loss.max()) * self.limits.worst_ratio,
            1 - float(loss.mean()) * self.limits.mean_ratio,
            self.limits.fixed_milliseconds + spent if times else None,
        )


def _may(one: Sensitivity, rules: Rules) -> bool:
    if one.group in rules.given:
        return one.amount == rules.given[one.group]
    return one.group not in rules.allowed or one.amount in rules.allowed[one.group]


def _holds(found: Allocation, limits: Limits) -> bool:
    return (
        (limits.bytes is None or found.bytes <= limits.bytes)
        and (limits.worst_cosine is None or found.worst_cosine >= limits.worst_cosine)
        and (limits.mean_cosine is None or found.mean_cosine >= limits.mean_cosine)
        and (limits.milliseconds is None or (found.milliseconds or 0.0) <= limits.milliseconds)
    )


def _check(scanned: Sequence[Sensitivity], limits: Limits, rules: Rules) -> None:
    """Refuse what names no group, no option or no objective."""
    offered: dict[str, set[str]] = {}
    for one in scanned:
        offered.setdefault(one.group, set()).add(one.amount)
    if not offered:
        raise SpecError("nothing in the model can be quantized", hint="Use --quantize none.")
    if limits.objective not in OBJECTIVES:
        raise SpecError(
            f"unknown objective {limits.objective!r}", hint=f"Objectives: {', '.join(OBJECTIVES)}."
        )
    timed = limits.milliseconds is not None or limits.objective == "milliseconds"
    if timed and not rules.milliseconds:
        raise SpecError(
            "a limit on time needs times", hint="Measure them first, or limit size or quality."
        )
    tied = {group for groups in rules.tied for group in groups}
    for group in sorted({*rules.given, *rules.allowed, *tied} - set(offered)):
        raise SpecError(f"no group {group!r}", hint=f"The groups: {', '.join(offered)}.")
    wanted = {**{g: {a} for g, a in rules.given.items()}, **rules.allowed}
    for group, amounts in wanted.items():
        if not offered[group].intersection(amounts):
            raise SpecError(
                f"{group}: {', '.join(sorted(amounts))} was not tried",
                hint=f"It can be: {', '.join(sorted(offered[group]))}.",
            )


def _impossible(scanned: Sequence[Sensitivity], limits: Limits, rules: Rules) -> CheckFailed:
    """Says how far each limit would have to give way if the others stay."""
    nearest: dict[str, float] = {}
    offers = []
    for name, objective, flag in _NEAREST:
        if getattr(limits, name) is None:
            continue
        without: dict[str, Any] = {name: None}
        eased = _Program(scanned, replace(limits, objective=objective, **without), rules)
        found = eased.solve()
        if found is not None:
            nearest[name] = getattr(found, name)
            offers.append(_OFFER[name].format(flag, _reachable(name, nearest[name])))
    wanted = [
        _WANTED[name].format(getattr(limits, name))
        for name, _, _ in _NEAREST
        if getattr(limits, name) is not None
    ]
    hint = " or ".join(offers) or "No single limit is the reason: ease two of them."
    return CheckFailed(
        f"no choice of bits has {' and '.join(wanted)}",
        hint=f"Within reach: {hint}." if offers else hint,
        nearest=nearest,
    )


_NEAREST = (
    ("bytes", "bytes", "--max-size"),
    ("worst_cosine", "worst", "--min-quality"),
    ("mean_cosine", "mean", "--min-quality"),
    ("milliseconds", "milliseconds", "--max-latency"),
)
_OFFER = {
    "bytes": "{} {}",
    "worst_cosine": "{} {} (worst text)",
    "mean_cosine": "{} {} (mean)",
    "milliseconds": "{} {}ms",
}
_WANTED = {
    "bytes": "at most {} bytes",
    "worst_cosine": "a predicted worst cosine of at least {}",
    "mean_cosine": "a predicted mean cosine of at least {}",
    "milliseconds": "at most {} ms",
}


def _reachable(name: str, value: float) -> str:
    """Rounded to the side that still holds."""
    if name == "bytes":
        return str(int(value))
    if name == "milliseconds":
        return f"{math.ceil(value * 1000) / 1000:.3f}"
    return f"{math.floor(value * 10000) / 10000:.4f}"


def _scipy() -> Any:
    try:
        return importlib.import_module("scipy.optimize")
    except ImportError as error:
        raise Unavailable(
            "the search for bits needs scipy", hint="pip install 'edgekit[convert]'"
        ) from error
