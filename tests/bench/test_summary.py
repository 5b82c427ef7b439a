"""What a record comes to: figures of valid blocks, one sentence a pair, energy where it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bench import energy, experiment
from edgekit.bench.record import Block, Gate, Times
from edgekit.bench.schedule import Request
from edgekit.cli import bench_view
from edgekit.device.job import Job
from tests.bench.scripted import COOL, QUIET, ScriptedPlace, bundle, measured


def by_runtime(onnx: float) -> Any:
    def milliseconds(job: Job) -> float:
        return onnx if job.runtime == "onnx" else 2.0

    return milliseconds


def sentence(folder: Path, place: ScriptedPlace, request: Request = QUIET) -> str:
    (row,) = measured(folder, place, request).summary["comparison"]
    return str(row["sentence"])


def test_one_sentence_says_which_is_slower(tmp_path: Path) -> None:
    said = sentence(tmp_path / "a", ScriptedPlace(by_runtime(3.0)))
    assert said.startswith("model.onnx against model.pte: slower; 1.50x the time (95 % interval 1.")
    said = sentence(tmp_path / "b", ScriptedPlace(by_runtime(2.0)))
    assert said.startswith("model.onnx against model.pte: no difference seen; 1.00x the time (95 %")
    said = sentence(tmp_path / "c", ScriptedPlace(by_runtime(1.0)))
    assert "faster; 0.50x" in said


def test_settings_that_disagree_are_counted(tmp_path: Path) -> None:
    def milliseconds(job: Job) -> float:
        return 3.0 if job.runtime == "onnx" and job.inputs.endswith("-16") else 2.0

    said = sentence(tmp_path, ScriptedPlace(milliseconds))
    assert "slower in 1, no difference seen in 1 of 2 settings" in said or (
        "no difference seen in 1, slower in 1 of 2 settings" in said
    )


def test_without_valid_blocks_no_comparison(tmp_path: Path) -> None:
    hot = {**COOL, "thermal_status": 3}
    record = measured(tmp_path, ScriptedPlace(health=[COOL, hot]))
    (row,) = record.summary["comparison"]
    assert "cannot tell (too few valid blocks)" in row["sentence"]
    for figures in record.summary["latency"]:
        assert figures["valid"] is False
        assert figures["n"] == 80  # shown, and marked


def test_the_same_bundle_twice_shows_no_difference(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b")
    place = ScriptedPlace(noise=0.02)
    request = replace(QUIET, runtimes=("onnx",))
    record = experiment.bench([made, made], request, lambda runtimes: place, tmp_path / "r.json")
    (row,) = record.summary["comparison"]
    assert row["sentence"].startswith("small#2/model.onnx against small/model.onnx: no difference")
    assert len(place.files) == 1 + 2 * 2  # one model, inputs of each bundle


def test_a_pass_of_several_texts_is_not_compared_in_silence(tmp_path: Path) -> None:
    bundles = [bundle(tmp_path / "alone"), bundle(tmp_path / "together", texts=8)]
    request = replace(QUIET, runtimes=("onnx",))
    record = experiment.bench(
        bundles, request, lambda runtimes: ScriptedPlace(), tmp_path / "r.json"
    )
    (row,) = record.summary["comparison"]
    assert row["sentence"].endswith("), for 8 texts against 1")
    assert {row["texts"] for row in bench_view.rows_of(record)} == {1, 8}


def test_figures_are_of_valid_blocks_alone(tmp_path: Path) -> None:
    place = ScriptedPlace()
    calls = iter(range(100))

    def milliseconds(job: Job) -> float:
        return 2.0 if job.seconds == 0.3 or next(calls) else 40.0

    place._milliseconds = milliseconds
    place._health = [COOL, COOL, COOL, {**COOL, "screen_on": False}, COOL]
    record = measured(tmp_path, place, replace(QUIET, lengths=(8,), runtimes=("onnx",)))
    slow = [b for b in record.blocks if b.times is not None and b.times.median > 20]
    assert [b.valid for b in slow] == [False]
    (row,) = record.summary["latency"]
    assert row["median"] == pytest.approx(2.0, rel=0.02)
    assert row["valid_blocks"] == 1


def block(before: dict[str, Any], after: dict[str, Any], seconds: float = 30.0) -> Block:
    times = Times(count=1000, points=(2.0,), thinned=True, median=2.0, minimum=2.0, cv=0, core_cv=0)
    gate = Gate(waited_seconds=0, thermal_status=0, probe_ms=None, probe_ratio=None, passed=True)
    return Block(
        setting="s",
        round=0,
        started="",
        seconds=seconds,
        gate=gate,
        before=before,
        after=after,
        times=times,
        driver_cpu=0,
        valid=True,
    )


def gauge(counter: int | None, charging: bool | None = False, **more: Any) -> dict[str, Any]:
    return {"charge_counter": counter, "charging": charging, **more}


def told(blocks: list[Block]) -> dict[str, Any]:
    return energy.per_inference(blocks, energy.smallest_step(blocks))


def test_charge_of_an_inference() -> None:
    blocks = [block(gauge(90_000), gauge(80_000)), block(gauge(79_900), gauge(70_000))]
    found = told(blocks)
    assert found["microampere_hours"] == pytest.approx((10_000 + 9_900) / 2000)
    assert found["millijoules"] is None
    volts = [
        block(gauge(90_000, battery_volts=4.0), gauge(80_000, battery_volts=4.0)),
        block(gauge(79_900), gauge(70_000)),
    ]
    # 1 uAh is 3.6 mC; at 4 V that is 14.4 mJ.
    assert told(volts)["millijoules"] == pytest.approx(9.95 * 14.4)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([], energy.NOT_TOLD),
        ([block(gauge(None), gauge(5))], energy.NOT_TOLD),
        ([block(gauge(90_000, True), gauge(80_000, True))], energy.CHARGING),
        ([block(gauge(90_000, None), gauge(80_000))], energy.CHARGING),
        ([block(gauge(90_000), gauge(80_000))], energy.TOO_SHORT),  # 30 s
        ([block(gauge(90_000), gauge(80_000), 90.0)], energy.TOO_SHORT),  # one step
        ([block(gauge(90_000), gauge(90_000), 90.0)], energy.TOO_SHORT),
    ],
)
def test_energy_that_is_not_told(blocks: list[Block], said: str) -> None:
    assert told(blocks) == {"said": said}


def test_energy_is_told_of_phones_alone(tmp_path: Path) -> None:
    for kind in ("phone", "host"):
        record = measured(tmp_path / kind, ScriptedPlace(kind=kind))
        assert record.summary["latency"][0]["energy"] == {"said": energy.NOT_TOLD}


def test_a_summary_is_finite_json(tmp_path: Path) -> None:
    record = measured(tmp_path, ScriptedPlace(noise=0.0))
    figures = record.summary["latency"][0]
    assert figures["median"] == figures["low"] == figures["high"] == 2.0
    assert np.isfinite([v for v in figures.values() if isinstance(v, float)]).all()
