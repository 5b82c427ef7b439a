"""Two records against each other: words, refusals, and the exit status of a regression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench.compare import Comparison, compare, refuse_regression
from edgekit.bench.record import Record
from edgekit.bench.schedule import Request
from edgekit.device.job import Job
from edgekit.errors import RegressionFound, SpecError, TemporaryFailure
from tests.bench.scripted import COOL, QUIET, ScriptedPlace, measured
from tests.support.refusals import refused


@pytest.fixture
def base(tmp_path: Path) -> Record:
    return measured(tmp_path / "base")


def by_inputs(slow: float, length: int) -> Any:
    def milliseconds(job: Job) -> float:
        return slow if job.inputs.endswith(f"-{length}") else 2.0

    return milliseconds


def again(tmp_path: Path, place: ScriptedPlace, request: Request = QUIET) -> Record:
    return measured(tmp_path / "again", place, request)


def words(found: Comparison) -> set[str]:
    return {row.verdict.word for row in found.rows}


def test_the_same_again_is_no_difference(base: Record, tmp_path: Path) -> None:
    found = compare(base, again(tmp_path, ScriptedPlace(seed=1)))
    assert words(found) == {"no difference seen"}
    assert {row.series for row in found.rows} == {
        "latency",
        "first load",
        "later loads",
        "peak memory",
    }
    refuse_regression(found)


def test_a_regression_names_its_setting(base: Record, tmp_path: Path) -> None:
    found = compare(base, again(tmp_path, ScriptedPlace(by_inputs(2.6, 16), seed=1)))
    names = [row.what for row in found.regressions]
    assert names == ["model.pte, 16 tokens, 2 threads", "model.onnx, 16 tokens, 2 threads"]
    failure = refused(RegressionFound, 1, names[0], lambda: refuse_regression(found))
    assert "1.30x" in failure.message
    assert "8 tokens" not in failure.message
    assert failure.details["comparison"]["regressions"] == names
    reverse = compare(again(tmp_path / "x", ScriptedPlace(by_inputs(2.6, 16))), base)
    assert words(reverse) == {"faster", "no difference seen"}


def test_more_memory_is_a_regression(base: Record, tmp_path: Path) -> None:
    place = ScriptedPlace(seed=1)
    plain = place._events

    def hungry(job: Job) -> Any:
        for event in plain(job):
            yield {**event, **({"vm_hwm_kb": 8_000} if event["event"] == "memory" else {})}

    place._events = hungry  # type: ignore[method-assign]
    found = compare(base, again(tmp_path, place))
    assert [(row.what, row.series) for row in found.regressions] == [
        ("model.pte", "peak memory"),
        ("model.onnx", "peak memory"),
    ]


@pytest.mark.parametrize(
    ("place", "request_", "words_"),
    [
        ({"environment": {"machine": "other"}}, QUIET, "machine is scripted and other"),
        ({"kind": "host"}, QUIET, "one is of a phone, one of a host"),
        ({}, replace(QUIET, lengths=(8, 32)), "lengths are 8,16 and 8,32"),
        ({}, replace(QUIET, threads=(1,)), "threads are 2 and 1"),
        ({}, replace(QUIET, cores=(1,)), "cores are all and 1"),
        ({}, replace(QUIET, runtimes=("onnx",)), "artifacts are 1:executorch,1:onnx and 1:onnx"),
    ],
)
def test_records_that_measure_something_else(
    base: Record, tmp_path: Path, place: dict[str, Any], request_: Request, words_: str
) -> None:
    other = again(tmp_path, ScriptedPlace(**place), request_)
    failure = refused(SpecError, 64, words_, lambda: compare(base, other))
    assert "--force" in failure.hint
    if "threads" in words_ or "cores" in words_:
        refused(TemporaryFailure, 75, "nothing can", lambda: compare(base, other, force=True))
    else:
        found = compare(base, other, force=True)
        assert any(words_ in line for line in found.overlooked)
        assert "blocks that do not count" in found.overlooked


def test_a_bundle_goes_by_its_place_not_by_its_name(base: Record, tmp_path: Path) -> None:
    from tests.bench.scripted import bundle

    folder = tmp_path / "renamed"
    folder.mkdir()
    bundle(folder / "bundle", name="small-v2")
    found = compare(base, measured(folder))
    assert len(found.rows) == 2 * (2 + 2) + 2


def test_blocks_that_do_not_count_are_not_compared(base: Record, tmp_path: Path) -> None:
    hot = {**COOL, "thermal_status": 3}
    other = again(tmp_path, ScriptedPlace(health=[COOL, hot], seed=1))
    assert not any(block.valid for block in other.blocks)
    failure = refused(TemporaryFailure, 75, "nothing can be compared", lambda: compare(base, other))
    assert "--force" in failure.hint
    assert words(compare(base, other, force=True)) == {"no difference seen"}


def test_a_record_that_ended_early_is_compared_as_far_as_it_goes(
    base: Record, tmp_path: Path
) -> None:
    half = base.model_copy(update={"blocks": base.blocks[:9], "complete": False})
    found = compare(base, half)
    assert {"no difference seen", "cannot tell"} == words(found)


def test_emulated_records_say_what_they_are(tmp_path: Path) -> None:
    records = [
        measured(tmp_path / name, ScriptedPlace(kind="emulated", seed=seed))
        for seed, name in enumerate("ab")
    ]
    assert compare(*records).conditions == "emulated: not a speed"
    assert records[0].summary["comparison"] == []
    assert "emulated: not a speed" in records[0].summary["conditions"]
