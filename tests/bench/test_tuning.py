"""Thread counts: which are tried, which is best, and the file that an app reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bench import experiment, tuning
from edgekit.bench.schedule import Request
from edgekit.device.job import Job
from edgekit.errors import CannotWrite, SpecError
from tests.bench.scripted import QUIET, ScriptedPlace, bundle, measured
from tests.support.refusals import refused

AUTO = replace(QUIET, threads=None, threads_auto=True)


def by_threads(job: Job) -> float:
    best = {"executorch": 2, "onnx": 4}[job.runtime]
    return 2.0 + abs((job.threads or 0) - best)


def test_counts_that_are_tried() -> None:
    assert tuning.counts(8, ()) == (1, 2, 4, 8)
    assert tuning.counts(2, ()) == (1, 2)
    assert tuning.counts(6, ()) == (1, 2, 4, 6)
    assert tuning.counts(8, (4, 5, 6)) == (1, 2, 3)
    assert tuning.counts(None, ()) == (1, 2, 4)


def test_the_fewest_threads_that_are_as_good() -> None:
    rows = [
        {"artifact": "a", "threads": n, "median_ms": ms}
        for n, ms in ((1, 9.0), (2, 5.1), (4, 5.0), (8, 5.0))
    ]
    assert tuning.best(rows) == {"a": 2}
    rows[1]["median_ms"] = 5.2
    assert tuning.best(rows) == {"a": 4}


def test_auto_measures_with_the_best_of_each(tmp_path: Path) -> None:
    place = ScriptedPlace(by_threads)
    record = measured(tmp_path, place, AUTO)
    sweeps = [job for job in place.jobs if job.seconds == 1.0]
    assert len(sweeps) == 2 * 2 * 3  # rounds, artifacts, counts
    assert {job.inputs.rpartition("-")[2] for job in sweeps} == {"16"}
    used = {(s.candidate, s.threads) for s in record.settings}
    assert used == {("model.pte", 2), ("model.onnx", 4)}
    (row,) = record.summary["comparison"]  # each at its own best
    assert "no difference seen" in row["sentence"]
    tuning.write(tmp_path / "tuning.json", record)
    document = json.loads((tmp_path / "tuning.json").read_bytes())
    assert document["kind"] == "edgekit-tuning"
    bundles = document["bundles"]
    assert bundles["small"]["threads"] == {"executorch": 2, "onnx": 4}
    assert bundles["small"]["digest"] == record.candidates[0].bundle_digest
    assert document["conditions"]["machine"] == {"machine": "scripted", "processors": 4}
    assert {row["threads"] for row in document["tried"]} == {1, 2, 4}


def test_a_sweep_is_not_repeated_on_resume(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, ScriptedPlace(by_threads, fails=(15, KeyboardInterrupt())), AUTO)
    place = ScriptedPlace(by_threads)
    record = measured(tmp_path, place, Request(), resume=True)
    assert record.complete
    assert not [job for job in place.jobs if job.seconds == 1.0]


def test_no_tuning_from_emulated_time(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b")
    place = ScriptedPlace(kind="emulated")
    refused(
        SpecError,
        64,
        "cannot say which thread count",
        lambda: experiment.bench([made], AUTO, lambda runtimes: place, tmp_path / "r.json"),
    )
    assert place.jobs == []
    assert place.closed


def test_no_tuning_file_without_a_sweep(tmp_path: Path) -> None:
    record = measured(tmp_path)
    path = tmp_path / "tuning.json"
    refused(SpecError, 64, "no thread counts", lambda: tuning.write(path, record))
    swept = measured(tmp_path / "auto", ScriptedPlace(by_threads), AUTO)
    refused(CannotWrite, 73, "cannot write", lambda: tuning.write(tmp_path / "x" / "t", swept))
