"""The experiment's order, its record on the disk, and what stays when it ends early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench import experiment
from edgekit.bench.record import read
from edgekit.bench.schedule import Request
from edgekit.errors import (
    DeviceReplyRefused,
    DeviceUnready,
    OutputExists,
    RunnerKilled,
    SpecError,
    TransferBroken,
)
from tests.bench.scripted import BLOCKS, COOL, QUIET, ScriptedPlace, bundle, measured
from tests.support.refusals import refused


def test_settings_are_interleaved_in_a_drawn_order(tmp_path: Path) -> None:
    place = ScriptedPlace()
    record = measured(tmp_path, place)
    assert record.complete
    assert len(record.blocks) == BLOCKS
    assert [(b.round, b.setting) for b in record.blocks] == [
        (number, name) for number, names in enumerate(record.order) for name in names
    ]
    for names in record.order:
        assert sorted(names) == sorted(setting.id for setting in record.settings)
    assert record.order[0] != record.order[1]
    assert record.order != tuple(tuple(s.id for s in record.settings) for _ in range(2))
    again = measured(tmp_path / "again")
    assert again.order == record.order
    other = measured(tmp_path / "other", request=replace(QUIET, seed=1))
    assert other.order != record.order
    assert place.closed


def test_jobs_say_what_was_planned(tmp_path: Path) -> None:
    place = ScriptedPlace()
    request = Request(lengths=(8,), threads=(1, 2), cores=(3, 2), cooldown_minutes=0)
    record = measured(tmp_path, place, request)
    assert record.plan.model_dump() == {
        "quick": False,
        "lengths": (8,),
        "threads": (1, 2),
        "threads_auto": False,
        "cores": (2, 3),
        "warm_ups": 3,
        "runs": 10,
        "seconds": 60.0,
        "rounds": 3,
        "loads": 5,
        "seed": 0,
        "cooldown_minutes": 0.0,
        "tokens": None,
    }
    jobs = [job for job in place.jobs if job.seconds != 0.3]  # the probes
    timed = [job for job in jobs if job.mode == "latency"]
    assert len(timed) == 3 * 2 * 2
    assert {(job.warm_ups, job.runs, job.seconds) for job in timed} == {(3, 4, 20.0)}
    assert {job.threads for job in timed} == {1, 2}
    assert {job.cores for job in jobs} == {(2, 3)}
    loads = [job for job in jobs if job.mode == "load"]
    assert len(loads) == 3 * 2
    assert {(job.runs, job.threads) for job in loads} == {(5, 2)}
    assert {job.runtime for job in jobs} == {"executorch", "onnx"}
    assert place.lengths() == {8}


def test_threads_are_those_of_the_place_unless_given(tmp_path: Path) -> None:
    request = Request(quick=True, lengths=(8,), cooldown_minutes=0)
    for index, (told, expected) in enumerate(
        (({"cores": [1, None]}, 2), ({"processors": 8}, 4), ({}, 2))
    ):
        place = ScriptedPlace(environment=told)
        record = measured(tmp_path / str(index), place, request)
        assert record.plan.threads == (expected,)


def test_a_probe_goes_before_every_block(tmp_path: Path) -> None:
    place = ScriptedPlace()
    record = measured(tmp_path, place)
    probes = [job for job in place.jobs if job.seconds == 0.3]
    assert len(probes) == BLOCKS
    assert len(set(probes)) == 1
    assert all(block.gate.passed for block in record.blocks)
    assert record.first_probe_ms == pytest.approx(2.0, rel=0.05)
    emulated = ScriptedPlace(kind="emulated")
    record = measured(tmp_path / "emulated", emulated)
    assert len(emulated.jobs) == BLOCKS
    assert record.first_probe_ms is None


def test_a_length_over_the_limit_is_refused_before_a_place_is_opened(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b")

    def open_place(runtimes: object) -> ScriptedPlace:
        raise AssertionError("opened")

    request = Request(lengths=(16, 65))
    refused(
        SpecError,
        64,
        "65 tokens",
        lambda: experiment.bench([made], request, open_place, tmp_path / "r.json"),
    )
    assert not (tmp_path / "r.json").exists()


def test_a_record_is_not_replaced_unasked(tmp_path: Path) -> None:
    measured(tmp_path)
    before = (tmp_path / "record.json").read_bytes()
    refused(OutputExists, 73, "record.json exists", lambda: measured(tmp_path))
    assert (tmp_path / "record.json").read_bytes() == before
    measured(tmp_path, request=replace(QUIET, seed=2), force=True)
    assert read(tmp_path / "record.json").plan.seed == 2


def test_an_invalid_block_is_told_and_left_out(tmp_path: Path) -> None:
    hot = {**COOL, "thermal_status": 2}
    # gate, before, after of each block: the third reading of the first block is hot.
    place = ScriptedPlace(health=[COOL, COOL, COOL, hot, COOL])
    record = measured(tmp_path, place)
    bad = [block for block in record.blocks if not block.valid]
    assert len(bad) == 1
    assert bad[0].reasons == ("throttled: thermal status 2",)
    assert record.summary["left_out"]["blocks"] == 1
    assert record.summary["left_out"]["of"] == BLOCKS
    assert bad[0].times is not None
    (row,) = [r for r in record.summary["latency"] if r["setting"] == bad[0].setting]
    assert (row["valid_blocks"], row["blocks"], row["n"]) == (1, 2, 40)


def test_a_gate_that_stays_shut_flags_the_block(tmp_path: Path) -> None:
    hot = {**COOL, "thermal_status": 2}
    record = measured(tmp_path, ScriptedPlace(health=[COOL, hot, COOL]))
    assert record.blocks[0].reasons == ("not cooled down: thermal status 2",)
    assert [block.valid for block in record.blocks] == [False, *[True] * (BLOCKS - 1)]


def test_the_battery_is_looked_at_first(tmp_path: Path) -> None:
    place = ScriptedPlace(health=[{**COOL, "battery_percent": 10}])
    refused(DeviceUnready, 75, "10 %", lambda: measured(tmp_path, place))
    assert place.jobs == []
    assert place.closed
    record = measured(tmp_path, place, force=True)
    assert "10 %" in record.warnings[0]


def test_what_was_measured_is_kept_when_the_cable_comes_out(tmp_path: Path) -> None:
    cut = TransferBroken("the phone went away", hint="Plug it in.")
    place = ScriptedPlace(fails=(7, cut))
    failure = refused(TransferBroken, 75, "went away", lambda: measured(tmp_path, place))
    path = tmp_path / "record.json"
    assert failure.hint == f"Plug it in. 3 blocks are in {path}; continue with --resume {path}"
    record = read(path)
    assert not record.complete
    assert record.stopped is not None
    assert record.stopped["code"] == "transfer-broken"
    assert len(record.blocks) == 3
    assert record.summary["latency"]
    assert place.closed


def test_a_kill_leaves_a_record_too(tmp_path: Path) -> None:
    place = ScriptedPlace(fails=(5, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, place)
    record = read(tmp_path / "record.json")
    assert record.stopped == {"code": "stopped", "message": "KeyboardInterrupt"}
    assert len(record.blocks) == 2
    assert place.closed


def test_a_resumed_record_is_whole_and_in_its_order(tmp_path: Path) -> None:
    whole = measured(tmp_path / "whole")
    dead = ScriptedPlace(fails=(9, RunnerKilled("killed")))
    with pytest.raises(RunnerKilled):
        measured(tmp_path, dead)
    place = ScriptedPlace()
    record = measured(tmp_path, place, Request(), resume=True)
    assert record.complete
    assert record.stopped is None
    assert record.order == whole.order
    names = [(block.round, block.setting) for block in record.blocks]
    assert names == [(block.round, block.setting) for block in whole.blocks]
    assert len(place.jobs) == 2 * (BLOCKS - 4)
    assert read(tmp_path / "record.json") == record


def test_only_the_same_experiment_is_continued(tmp_path: Path) -> None:
    refused(
        SpecError,
        64,
        "nothing is missing",
        lambda: (measured(tmp_path / "a"), measured(tmp_path / "a", resume=True)),
    )
    with pytest.raises(RunnerKilled):
        measured(tmp_path, ScriptedPlace(fails=(9, RunnerKilled("killed"))))
    before = (tmp_path / "record.json").read_bytes()

    def resumed(request: Request, place: ScriptedPlace | None = None) -> None:
        measured(tmp_path, place, request, resume=True)

    for request, option in (
        (Request(seed=3), "--seed"),
        (Request(lengths=(8,)), "--lengths"),
        (Request(threads=(4,)), "--threads"),
        (Request(threads_auto=True), "--threads"),
        (Request(cores=(1,)), "--cores"),
        (Request(runtimes=("onnx",)), "--runtime"),
    ):
        failure = refused(SpecError, 64, f"another {option}", lambda r=request: resumed(r))
        assert option in failure.hint
    elsewhere = ScriptedPlace(environment={"machine": "other", "processors": 4})
    refused(SpecError, 64, "was made on scripted", lambda: resumed(Request(), elsewhere))
    made = tmp_path / "bundle"
    made.rename(tmp_path / "kept")
    bundle(made, name="another")
    refused(SpecError, 64, "of other bundles", lambda: resumed(Request()))
    assert (tmp_path / "record.json").read_bytes() == before


@pytest.mark.parametrize("ms", ["fast", True, None, -1.0, float("nan")])
def test_times_that_are_none_are_refused(tmp_path: Path, ms: object) -> None:
    place = ScriptedPlace()
    place._events = lambda job: [{"event": "sample", "ms": ms}]  # type: ignore[method-assign]
    with pytest.raises(DeviceReplyRefused, match="gave"):
        measured(tmp_path, place)


def test_a_runner_that_says_nothing_is_refused(tmp_path: Path) -> None:
    place = ScriptedPlace()
    place._events = lambda job: []  # type: ignore[method-assign]
    with pytest.raises(DeviceReplyRefused, match="without a single time"):
        measured(tmp_path, place)


def test_memory_and_loads_are_series_of_their_own(tmp_path: Path) -> None:
    record = measured(tmp_path)
    for row in record.summary["artifacts"]:
        assert (row["cold_load_ms"], row["cold_loads"]) == (40.5, 4)
        assert (row["warm_load_ms"], row["warm_loads"]) == (10.0, 4)
        assert row["peak_bytes"] == 5_000 * 1024
        assert row["pss_bytes"] == 4_000 * 1024
        assert row["peak_to_forecast"] == row["peak_bytes"] / row["forecast_bytes"]
    loads = {s.id for s in record.settings if s.series == "load"}
    assert {b.setting for b in record.blocks if b.cold_loads_ms} == loads
    assert all((b.times is None) == (b.setting in loads) for b in record.blocks)


def test_the_driver_accounts_for_itself(tmp_path: Path) -> None:
    record = measured(tmp_path)
    assert all(0 <= block.driver_cpu < 50 for block in record.blocks)
    assert record.software["edgekit"]
    assert record.software["git"] is None or len(record.software["git"]["commit"]) >= 40


def test_a_million_times_make_a_small_record(tmp_path: Path) -> None:
    place = ScriptedPlace()
    rows = np.random.default_rng(0).normal(2.0, 0.02, 1_100_000)
    whole = place._events

    def many(job: object) -> object:
        if getattr(job, "seconds", 0) == 0.5:
            return ({"event": "sample", "ms": float(ms)} for ms in rows)
        return whole(job)  # type: ignore[arg-type]

    place._events = many  # type: ignore[assignment, method-assign]
    place.run = _without_json(place)  # type: ignore[method-assign]
    request = Request(
        quick=True, lengths=(8,), threads=(1,), runtimes=("onnx",), cooldown_minutes=0
    )
    record = measured(tmp_path, place, request)
    (row,) = record.summary["latency"]
    assert row["n"] == 2 * len(rows)
    assert row["minimum"] == rows.min()
    assert row["p99"] == pytest.approx(np.percentile(rows, 99), rel=1e-3)
    assert (tmp_path / "record.json").stat().st_size < 200_000


def _without_json(place: ScriptedPlace) -> object:
    def run(job: object, *, timeout: float, on_event: object) -> dict[str, str]:
        for event in place._events(job):  # type: ignore[arg-type]
            on_event(event)  # type: ignore[operator]
        return {"event": "done"}

    return run
