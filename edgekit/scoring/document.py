"""What an evaluation found: the board in memory, and the JSON document made of it."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.scoring import slices
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.journal import FINE, LEFT_OUT, NOT_FINITE, Entry, Kept
from edgekit.scoring.metrics import Estimate, Metric, change, estimate

FORMAT = "edgekit-eval-1"
# More rows than these are not written into a document: it is no baseline then.
MOST_KEPT = 50_000
_NAMED_ROWS = 10
_PACKAGES = ("edgekit", "executorch", "numpy", "onnxruntime", "scikit-learn", "scipy", "torch")


@dataclass
class Standing:
    """One contestant's marks and what is said of it.

    Attributes:
        facts: name, model, runtime, bytes, scheme and the like, JSON-able.
        fields: names of the numbers in a mark.
        metrics: figures over marks, the main one first.
        kept: its journal in numbers.
        seconds: of the whole pass here, and of the model alone; None where not measured.
        workers: that answered at the same time, each on one thread where there are several.
        robustness: figures on harmed rows.
        flips: how answers differ from the first one's, and examples.
    """

    facts: dict[str, Any]
    fields: tuple[str, ...]
    metrics: tuple[Metric, ...]
    kept: Kept
    seconds: float | None = None
    model_seconds: float | None = None
    workers: int = 1
    robustness: list[dict[str, Any]] = field(default_factory=list)
    flips: dict[str, Any] = field(default_factory=dict)


@dataclass
class Board:
    """Standings over the same rows.

    Attributes:
        file: the data's name.
        digest: of the data that was read.
        kind: of the data, in words.
        slices: which parts the rows belong to.
        standings: the first is what the others are held against.
        seed: of the bootstrap.
        remarks: what a reader must know besides the table.
    """

    file: str
    digest: str
    kind: str
    slices: slices.Slices
    standings: list[Standing]
    seed: int = 0
    remarks: list[str] = field(default_factory=list)
    _estimates: dict[str, dict[str, Estimate]] = field(default_factory=dict)

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """The rows that every contestant answered: only those are compared."""
        fine = [standing.kept.status == FINE for standing in self.standings]
        return np.asarray(np.logical_and.reduce(fine))

    def why_not(self) -> str:
        """Reasons for rows that do not count, in words."""
        counts: Counter[str] = Counter()
        for standing in self.standings:
            counts["cannot be asked"] += int((standing.kept.status == LEFT_OUT).sum())
            counts["output not finite"] += int((standing.kept.status == NOT_FINITE).sum())
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no rows"

    def not_finite(self) -> dict[str, list[int]]:
        """Contestant -> numbers of the rows where its output was not finite."""
        found = {
            str(standing.facts["name"]): np.flatnonzero(standing.kept.status == NOT_FINITE) + 1
            for standing in self.standings
        }
        return {name: rows.tolist() for name, rows in found.items() if len(rows)}

    def estimates(self, standing: Standing) -> dict[str, Estimate]:
        """Every metric over the rows that count."""
        name = str(standing.facts["name"])
        if name not in self._estimates:
            # A copy only where one is needed: of a million rows it is what shows.
            kept = standing.kept.marks
            marks = kept if self.scored.all() else kept[self.scored]
            found = {one.name: estimate(one, marks, self.seed) for one in standing.metrics}
            self._estimates[name] = found
        return self._estimates[name]

    def harmed(self, standing: Standing, harm: str, found: Sequence[Entry]) -> dict[str, Any]:
        """The main metric on harmed rows, and what it lost against the same rows unharmed."""
        metric = standing.metrics[0]
        able = [e for e in found if e.mark is not None and self.scored[e.row - 1]]
        marks = np.array([e.mark.numbers for e in able if e.mark is not None], dtype=np.float64)
        before = standing.kept.marks[[entry.row - 1 for entry in able]]
        record: dict[str, Any] = {"harm": harm, "metric": metric.name, "rows": len(able)}
        if not able:
            return {**record, "value": None, "before": None, "drop": None}
        plain, hurt = (estimate(metric, one, self.seed) for one in (before, marks))
        moved = change(plain, hurt)
        return {
            **record,
            "value": hurt.value,
            "before": plain.value,
            "drop": None if moved is None else -metric.better * moved.value,
            "significant": moved is not None and moved.significant,
        }

    def as_dict(self, *, marks: bool = False) -> dict[str, Any]:
        """The document.

        Args:
            marks: with every row's numbers, so that it can be a baseline.
        """
        first = self.estimates(self.standings[0])
        rows = len(self.scored)
        return {
            "format": FORMAT,
            "data": {
                "file": self.file,
                "digest": self.digest,
                "kind": self.kind,
                "rows": rows,
                "scored": int(self.scored.sum()),
            },
            "contestants": [
                self._contestant(standing, first, marks and rows <= MOST_KEPT)
                for standing in self.standings
            ],
            "remarks": [*self.remarks, *self._remarks()],
            "environment": environment(),
        }

    def _contestant(
        self, standing: Standing, first: dict[str, Estimate], marks: bool
    ) -> dict[str, Any]:
        mine = first if standing is self.standings[0] else self.estimates(standing)
        main = standing.metrics[0]
        parts = slices.measured(self.slices, main, standing.kept.marks, self.scored)
        record = {
            **standing.facts,
            "figures": [
                _figure(metric, mine[metric.name], first.get(metric.name), mine is first)
                for metric in standing.metrics
            ],
            "latency_ms": _latency(standing.kept.milliseconds[self.scored]),
            "seconds": standing.seconds,
            "model_seconds": standing.model_seconds,
            "workers": standing.workers,
            "left_out": _rows(standing.kept.status == LEFT_OUT),
            "not_finite": _rows(standing.kept.status == NOT_FINITE),
            "slices": parts,
            "worst_slice": slices.worst(parts, main.better),
            "robustness": standing.robustness,
            "flips": standing.flips,
        }
        if marks:
            record["fields"] = list(standing.fields)
            record["marks"] = [
                row.tolist() if state == FINE else int(state)
                for row, state in zip(standing.kept.marks, standing.kept.status, strict=True)
            ]
        return record

    def _remarks(self) -> list[str]:
        found = []
        left = int((~self.scored).sum())
        if left:
            found.append(
                f"{left} of {len(self.scored)} rows do not count: {self.why_not()}; "
                "a row counts when every contestant answers it"
            )
        tokenizers = {standing.facts.get("tokenizer") for standing in self.standings}
        if len(tokenizers) > 1:
            found.append("the contestants have different tokenizers: they read different tokens")
        if (workers := max(standing.workers for standing in self.standings)) > 1:
            found.append(
                f"{workers} rows were asked at a time, each on one thread, while ms a row was taken"
            )
        if int(self.scored.sum()) < 100:
            found.append("fewer than 100 rows: intervals are wide and themselves rough")
        return found


def standing(
    contestant: Contestant,
    fields: tuple[str, ...],
    metrics: tuple[Metric, ...],
    kept: Kept,
    seconds: float | None,
    workers: int = 1,
) -> Standing:
    """A contestant that has answered everything.

    Args:
        contestant: who.
        fields: names of the numbers in its marks.
        metrics: over them.
        kept: its answers.
        seconds: of the whole pass; None where an earlier run had answered some of it.
        workers: that answered at the same time.
    """
    facts = {
        "name": contestant.name,
        "model": contestant.model,
        "runtime": contestant.runtime,
        "task": contestant.task,
        "scheme": contestant.scheme,
        "bytes": contestant.bytes,
        "identity": contestant.identity,
        "tokenizer": contestant.tokenizer,
        "details": contestant.details,
    }
    spent = kept.milliseconds[np.isfinite(kept.milliseconds)]
    timed = seconds is not None and len(spent) > 0
    model = float(spent.sum() / 1e3) if timed else None
    return Standing(facts, fields, metrics, kept, seconds if timed else None, model, workers)


def environment() -> dict[str, Any]:
    """The machine and the versions of what decides figures."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": versions,
    }


def _figure(
    metric: Metric, mine: Estimate, first: Estimate | None, is_first: bool
) -> dict[str, Any]:
    moved = None if is_first or first is None else change(first, mine)
    return {
        "metric": metric.name,
        "better": metric.better,
        "value": mine.value,
        "low": mine.low,
        "high": mine.high,
        "change": None
        if moved is None
        else {
            "value": moved.value,
            "low": moved.low,
            "high": moved.high,
            "significant": moved.significant,
        },
    }


def _latency(times: NDArray[np.float64]) -> dict[str, float] | None:
    known = times[np.isfinite(times)]
    if not len(known):
        return None
    return {"median": float(np.median(known)), "p90": float(np.percentile(known, 90))}


def _rows(chosen: NDArray[np.bool_]) -> dict[str, Any]:
    places = np.flatnonzero(chosen)
    return {"count": len(places), "rows": (places[:_NAMED_ROWS] + 1).tolist()}


def merged(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """One document of several over the same contestants, by the names of what was asked.

    Figures, parts and changed answers are told apart by those names.
    """
    if len(documents) == 1:
        return next(iter(documents.values()))
    first = next(iter(documents.values()))
    contestants = [
        _joined([(name, document["contestants"][at]) for name, document in documents.items()])
        for at in range(len(first["contestants"]))
    ]
    remarks = [f"{name}: {text}" for name, each in documents.items() for text in each["remarks"]]
    counts = {
        key: sum(each["data"][key] for each in documents.values()) for key in ("rows", "scored")
    }
    digest = hashlib.sha256("".join(d["data"]["digest"] for d in documents.values()).encode())
    names = ", ".join(documents)
    data = {"file": names, "digest": digest.hexdigest(), "kind": "suites", **counts}
    return {**first, "data": data, "contestants": contestants, "remarks": remarks}


def _joined(parts: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """One contestant's records of several questions as one."""
    counts: Counter[str] = Counter()
    examples = []
    for name, one in parts:
        counts.update(one["flips"].get("counts", {}))
        examples += [
            {**example, "what": f"{name}, {example['what']}"}
            for example in one["flips"].get("examples", ())
        ]
    return {
        **parts[0][1],
        "figures": [
            {**figure, "metric": f"{name} {figure['metric']}"}
            for name, one in parts
            for figure in one["figures"]
        ],
        "slices": [
            {**part, "by": f"{name} {part['by']}"} for name, one in parts for part in one["slices"]
        ],
        "worst_slice": None,
        "not_finite": _summed([one["not_finite"] for _, one in parts]),
        "left_out": _summed([one["left_out"] for _, one in parts]),
        "flips": {"counts": dict(counts), "examples": examples} if counts else {},
    }


def _summed(counted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = [row for one in counted for row in one["rows"]]
    return {"count": sum(one["count"] for one in counted), "rows": rows[:_NAMED_ROWS]}
