"""The table of times: measured on real programs, kept, and read again; forecasts from it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from edgekit.errors import CannotWrite
from edgekit_converters.quantize.plan import Setting, Unit
from edgekit_converters.quantize.search import cost
from edgekit_converters.quantize.search.timing import Kind

LINEAR = [Unit(f"layer.{name}", "linear", 64, 32, "shared", (name,)) for name in ("query", "key")]
GROUPS = {
    "layer.(query|key)": tuple(LINEAR),
    "output": (Unit("output", "linear", 32, 64, "other", ("c",)),),
    "table": (Unit("table", "table", 500, 32, "", ("d",)),),
}


def settings(unit: Unit) -> list[Setting]:
    return [Setting(32), Setting(8), Setting(4, 32)] if unit.name != "output" else [Setting(8)]


def test_kinds_of_linears_once_each() -> None:
    found = cost.kinds(GROUPS, settings)
    assert found == [Kind(32, 64, 8), Kind(64, 32, 4, 32), Kind(64, 32, 8), Kind(64, 32, 32)]
    assert [one.label for one in found] == [
        "32x64 int8 per row",
        "64x32 int4 group 32",
        "64x32 int8 per row",
        "64x32 fp32",
    ]


def test_times_of_options_are_sums_over_their_linears() -> None:
    times = {(one, 16): float(one.bits) for one in cost.kinds(GROUPS, settings)}
    assert cost.of_options(GROUPS, settings, times, 16) == {
        ("layer.(query|key)", "fp32"): 64.0,
        ("layer.(query|key)", "int8 per row"): 16.0,
        ("layer.(query|key)", "int4 group 32"): 8.0,
        ("output", "int8 per row"): 8.0,
        ("table", "fp32"): 0.0,
        ("table", "int8 per row"): 0.0,
        ("table", "int4 group 32"): 0.0,
    }


def test_a_forecast_starts_from_a_measured_artifact() -> None:
    sums = {"fp32": 9.0, "int8": 3.0, "mixed": 4.0}
    found = cost.forecast(sums, {"fp32": 10.0, "int8": 5.0, "mixed": 5.0}, "fp32")
    assert found.predicted == {"fp32": 10.0, "int8": 4.0, "mixed": 5.0}
    assert found.error == pytest.approx(0.2)
    assert cost.forecast(sums, {"fp32": 10.0}, "fp32").error == 0.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def times(home: Path, monkeypatch: pytest.MonkeyPatch) -> cost.Times:
    """Of a large and a small linear; measured by the first test that asks, then from the cache."""
    monkeypatch.setenv("EDGEKIT_HOME", str(home))
    torch.set_num_threads(1)
    return cost.table([LARGE, LARGE_INT8, SMALL_INT4], lengths=(4, 64), seconds=0.5)


LARGE, LARGE_INT8, SMALL_INT4 = Kind(512, 256, 32), Kind(512, 256, 8), Kind(32, 32, 4, 32)


def test_real_programs_are_timed(times: cost.Times) -> None:
    assert set(times) == {
        (one, length) for one in (LARGE, LARGE_INT8, SMALL_INT4) for length in (4, 64)
    }
    assert all(0 < took < 100 for took in times.values())
    # 2048 times the work: no machine is busy enough to turn this round.
    assert times[LARGE, 64] > times[SMALL_INT4, 4]


def test_what_was_measured_is_kept(times: cost.Times, home: Path) -> None:
    (kept,) = (home / "latency").iterdir()
    assert cost.cache_file() == kept
    before = kept.stat().st_mtime_ns
    assert cost.table([LARGE], lengths=(64,)) == {(LARGE, 64): times[LARGE, 64]}
    assert kept.stat().st_mtime_ns == before
    record = json.loads(kept.read_bytes())
    assert record["milliseconds"]["512x256 int8 per row, 4 tokens"] == times[LARGE_INT8, 4]
    assert {"machine", "processor", "cores", "executorch", "torch"} < set(record)


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"milliseconds": []}', '{"milliseconds": {"x": "y"}}', "{"]
)
def test_a_damaged_table_is_measured_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))
    place = cost.cache_file()
    place.parent.mkdir(parents=True)
    place.write_text(damage)
    monkeypatch.setattr(cost, "measure", lambda *given: {(SMALL_INT4, 4): 0.25})
    assert cost.table([SMALL_INT4], lengths=(4,)) == {(SMALL_INT4, 4): 0.25}
    monkeypatch.setattr(cost, "measure", lambda *given: pytest.fail("it was kept"))
    assert cost.table([SMALL_INT4], lengths=(4,)) == {(SMALL_INT4, 4): 0.25}
    assert os.listdir(place.parent) == [place.name]


def test_where_the_table_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cost.cache_file().parent == tmp_path / "edgekit" / "latency"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cost.cache_file().parent == tmp_path / ".cache" / "edgekit" / "latency"


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(cost, "measure", lambda *given: {(SMALL_INT4, 4): 0.25})
    with pytest.raises(CannotWrite) as caught:
        cost.table([SMALL_INT4], lengths=(4,))
    assert "EDGEKIT_HOME" in caught.value.hint
