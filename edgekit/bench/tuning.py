"""The best number of threads of each artifact, by a short sweep, and the file that tells an app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.blocks import Bench
from edgekit.bench.record import Candidate, Record, SeriesName, Setting
from edgekit.bench.surroundings import machine
from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import as_write_errors
from edgekit.errors import SpecError

SCHEMA_VERSION = 1
# What is timed: the answer of a model in one pass, the next token of a decoder.
_SWEPT: dict[bool, SeriesName] = {False: "latency", True: "decode"}
SWEEP_RUNS, SWEEP_SECONDS, SWEEP_ROUNDS = 10, 1.0, 2
NEAR = 1.03


def counts(processors: int | None, cores: Sequence[int]) -> tuple[int, ...]:
    """Thread counts worth a try: 1, 2, 4 and all, none above what there is."""
    most = len(cores) or processors or 4
    return tuple(sorted({count for count in (1, 2, 4, most) if count <= most}))


def sweep(
    bench: Bench, candidates: Sequence[Candidate], tried: Sequence[int], say: Callable[[str], None]
) -> tuple[dict[str, Any], ...]:
    """Time every artifact with every count at the longest length, interleaved.

    Returns:
        One row for each artifact and count: ``artifact``, ``threads``, ``median_ms``, ``n``.
    """
    length = max(bench.planned.lengths)
    draw = np.random.default_rng(bench.planned.seed)
    series = {c.id: _SWEPT[c.context is not None] for c in candidates}
    cells = [(name, count) for name in series for count in tried]
    times: dict[tuple[str, int], list[float]] = {cell: [] for cell in cells}
    for _ in range(SWEEP_ROUNDS):
        for index in draw.permutation(len(cells)):
            name, count = cells[index]
            say(f"{name}, {count} threads")
            setting = Setting(
                id="sweep",
                candidate=name,
                series=series[name],
                length=length,
                threads=count,
                cores=bench.planned.cores,
            )
            found = bench.trial(setting, SWEEP_RUNS, SWEEP_SECONDS)
            times[name, count] += found.points
    return tuple(
        {
            "artifact": name,
            "threads": count,
            "length": length,
            "median_ms": float(np.median(values)),
            "n": len(values),
        }
        for (name, count), values in times.items()
    )


def best(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Threads by artifact: the fewest whose median is within 3 % of the best."""
    chosen: dict[str, int] = {}
    for name in dict.fromkeys(row["artifact"] for row in rows):
        mine = [row for row in rows if row["artifact"] == name]
        least = min(row["median_ms"] for row in mine)
        near = [row["threads"] for row in mine if row["median_ms"] <= NEAR * least]
        chosen[name] = min(near)
    return chosen


def write(path: Path, record: Record) -> None:
    """Write the tuning file of a record that has a sweep.

    Raises:
        SpecError: the record has none.
        CannotWrite, StorageFull: the file cannot be written.
    """
    if not record.sweep:
        raise SpecError(
            "no thread counts were tried", hint="Measure with --threads auto for a tuning file."
        )
    with as_write_errors(path):
        path.write_bytes(dump_bytes(document(record)))


def document(record: Record) -> dict[str, Any]:
    """What the tuning file says: threads by bundle and runtime, and the conditions."""
    chosen = best(record.sweep)
    bundles: dict[str, dict[str, Any]] = {}
    for candidate in record.candidates:
        entry = bundles.setdefault(
            candidate.bundle, {"digest": candidate.bundle_digest, "threads": {}}
        )
        entry["threads"][candidate.runtime] = chosen[candidate.id]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "edgekit-tuning",
        "bundles": bundles,
        "conditions": {
            "place": record.place,
            "place_kind": record.place_kind,
            "machine": machine(record.environment),
            "cores": list(record.plan.cores),
            "measured": record.started,
            "edgekit": record.software["edgekit"],
            "rule": "the fewest threads whose median is within 3 % of the best",
        },
        "tried": list(record.sweep),
    }
