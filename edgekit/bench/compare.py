"""Hold two records against each other: what became slower, faster, or shows no difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.bench.record import TIMED, Block, Record, Setting
from edgekit.bench.statistics import Floats
from edgekit.bench.summary import EMULATED, floor_of, numbers
from edgekit.bench.surroundings import machine
from edgekit.bench.verdict import Verdict, judge
from edgekit.errors import RegressionFound, SpecError, TemporaryFailure

Key = tuple[int, str, str, int, int | None, tuple[int, ...]]


@dataclass(frozen=True)
class Row:
    """One series of one setting in both records."""

    what: str
    series: str
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """All rows, and what had to be overlooked to compare at all."""

    rows: tuple[Row, ...]
    overlooked: tuple[str, ...]
    conditions: str

    @property
    def regressions(self) -> list[Row]:
        """Rows that became worse."""
        return [row for row in self.rows if row.verdict.word == "slower"]

    def as_dict(self) -> dict[str, Any]:
        """The comparison as a JSON-able record."""
        return {
            "rows": [
                {"what": row.what, "series": row.series, **row.verdict.as_dict()}
                for row in self.rows
            ],
            "overlooked": list(self.overlooked),
            "conditions": self.conditions,
            "regressions": [row.what for row in self.regressions],
        }


def compare(first: Record, second: Record, *, force: bool = False) -> Comparison:
    """Judge every series that both records have.

    Args:
        first: the baseline.
        second: what is judged.
        force: compare records of different machines or settings, and blocks that do not count.

    Raises:
        SpecError: the records do not measure the same; the message says in what they differ.
        TemporaryFailure: no series has enough valid blocks in both.
    """
    differences = _differences(first, second)
    if differences and not force:
        raise SpecError(
            f"these records do not measure the same: {'; '.join(differences)}",
            hint="Compare what they share with --force.",
            differences=differences,
        )
    mine, theirs = _keyed(first), _keyed(second)
    floor = floor_of(first, second)
    rows: list[Row] = []
    for key, setting in theirs.items():
        if key in mine:
            rows += _rows(first, mine[key], second, setting, floor, force)
    rows += _memory(first, second, floor)
    if all(row.verdict.word == "cannot tell" for row in rows if row.series != "peak memory"):
        raise TemporaryFailure(
            "nothing can be compared: no setting has two valid blocks in both records",
            hint="Measure again on a cool, idle machine; --force takes the invalid blocks.",
        )
    overlooked = [*differences, *(["blocks that do not count"] if force else [])]
    emulated = "emulated" in (first.place_kind, second.place_kind)
    return Comparison(tuple(rows), tuple(overlooked), EMULATED if emulated else "")


def refuse_regression(comparison: Comparison) -> None:
    """Raise when something became worse.

    Raises:
        RegressionFound: naming every setting with its ratio.
    """
    if not (worse := comparison.regressions):
        return
    named = "; ".join(
        f"{row.what}: {row.verdict.ratio:.2f}x ({row.verdict.low:.2f} to {row.verdict.high:.2f})"
        for row in worse
    )
    raise RegressionFound(
        f"worse than the baseline, outside both runs' spread: {named}",
        hint="Measure both again, interleaved in one bench, before you believe it.",
        comparison=comparison.as_dict(),
    )


def _differences(first: Record, second: Record) -> list[str]:
    found = []
    if first.place_kind != second.place_kind:
        found.append(f"one is of a {first.place_kind}, one of a {second.place_kind}")
    ours, theirs = machine(first.environment), machine(second.environment)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            absent = "none" if name == "app" else "not told"
            told = (_told(ours.get(name), absent), _told(theirs.get(name), absent))
            found.append(f"{name} is {told[0]} and {told[1]}")
    for name, a, b in (
        ("lengths", first.plan.lengths, second.plan.lengths),
        ("threads", _threads(first), _threads(second)),
        ("tokens", _tokens(first), _tokens(second)),
        ("cores", first.plan.cores, second.plan.cores),
        ("artifacts", _artifacts(first), _artifacts(second)),
    ):
        if a != b:
            found.append(f"{name} are {_list(a)} and {_list(b)}")
    return found


def _tokens(record: Record) -> tuple[int, ...]:
    return () if record.plan.tokens is None else (record.plan.tokens,)


def _threads(record: Record) -> tuple[int, ...]:
    return tuple(sorted({s.threads for s in record.settings if s.threads is not None}))


def _artifacts(record: Record) -> tuple[str, ...]:
    return tuple(f"{c.ordinal + 1}:{c.runtime}" for c in record.candidates)


def _keyed(record: Record) -> dict[Key, Setting]:
    """Settings by what they measure: a bundle goes by its place in the command, not by its name."""
    found: dict[Key, Setting] = {}
    for s in record.settings:
        candidate = record.candidate(s.candidate)
        length = s.length if s.series in TIMED else 0
        key = (candidate.ordinal, candidate.runtime, s.series, length, s.threads, s.cores)
        found[key] = s
    return found


def _rows(
    first: Record, mine: Setting, second: Record, theirs: Setting, floor: float, force: bool
) -> list[Row]:
    blocks = (
        first.blocks_of(mine.id, valid=not force),
        second.blocks_of(theirs.id, valid=not force),
    )
    what = theirs.id if mine.id == theirs.id else f"{theirs.id} (was {mine.candidate})"
    kinds: list[tuple[str, Callable[[Sequence[Block]], list[Floats]]]]
    kinds = [(theirs.series, numbers)]
    if theirs.series == "load":
        kinds = [("first load", _cold), ("later loads", _warm)]
    return [
        Row(
            what,
            series,
            judge(
                take(blocks[0]),
                take(blocks[1]),
                floor=floor,
                seed=second.plan.seed,
                disturbed=not all(block.valid for side in blocks for block in side),
            ),
        )
        for series, take in kinds
    ]


def _memory(first: Record, second: Record, floor: float) -> list[Row]:
    """Peak memory of each artifact; heat does not change it, so every block counts."""
    rows = []
    for candidate in second.candidates:
        other = next(
            (
                c
                for c in first.candidates
                if (c.ordinal, c.runtime) == (candidate.ordinal, candidate.runtime)
            ),
            None,
        )
        if other is None:
            continue
        peaks = [_peaks(first, other.id), _peaks(second, candidate.id)]
        if all(peaks):
            rows.append(Row(candidate.id, "peak memory", judge(*peaks, floor=floor)))
    return rows


def _peaks(record: Record, candidate: str) -> list[Floats]:
    """Per round, the highest peak of any setting."""
    mine = {s.id for s in record.settings if s.candidate == candidate}
    rounds: dict[int, int] = {}
    for block in record.blocks:
        if block.setting in mine and block.memory_kb.get("vm_hwm_kb"):
            peak = block.memory_kb["vm_hwm_kb"]
            rounds[block.round] = max(peak, rounds.get(block.round, 0))
    return [np.array([float(peak)]) for _, peak in sorted(rounds.items())]


def _cold(blocks: Sequence[Block]) -> list[Floats]:
    return [np.array(b.cold_loads_ms) for b in blocks if b.cold_loads_ms]


def _warm(blocks: Sequence[Block]) -> list[Floats]:
    return [np.array(b.warm_loads_ms) for b in blocks if b.warm_loads_ms]


def _told(value: Any, absent: str) -> str:
    return absent if value is None else str(value)[:60]


def _list(values: Sequence[Any]) -> str:
    return ",".join(map(str, values)) or "all"
