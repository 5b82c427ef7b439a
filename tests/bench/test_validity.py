"""What makes a block invalid, and which battery is too low."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.bench.record import Times
from edgekit.bench.validity import check_battery, check_lock, end_clock, reasons
from edgekit.errors import DeviceUnready
from tests.bench.scripted import COOL
from tests.support.refusals import refused


def times(core_cv: float = 0.01) -> Times:
    return Times(
        count=10,
        points=(2.0,),
        thinned=True,
        median=2.0,
        minimum=1.9,
        cv=0.4,
        core_cv=core_cv,
    )


def clocks(now: int, most: int = 2_800_000, cpus: int = 2) -> dict[str, Any]:
    slow = {"cpu": 0, "khz": 300_000, "max_khz": 1_000_000, "governor": "walt"}
    fast = {"cpu": 1, "khz": now, "max_khz": most, "governor": "walt"}
    return {"when": "after", "cpus": [slow, fast][:cpus]}


def judged(**changes: Any) -> list[str]:
    given: dict[str, Any] = {
        "before": COOL,
        "after": COOL,
        "clocks": [clocks(2_000_000), clocks(2_000_000)],
        "times": times(),
        "kind": "phone",
        "clock_of_first": 2_000_000,
    }
    given |= changes
    return reasons(
        given.pop("before"), given.pop("after"), given.pop("clocks"), given.pop("times"), **given
    )


def test_a_quiet_block_counts() -> None:
    assert judged() == []
    assert judged(before={}, after={}, clocks=[], clock_of_first=None) == []
    assert judged(after={**COOL, "thermal_status": 1, "battery_percent": 79}) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"before": {**COOL, "thermal_status": 2}}, "throttled: thermal status 2"),
        ({"after": {**COOL, "thermal_status": 3}}, "throttled: thermal status 3"),
        ({"times": times(0.071)}, "unstable: CV 7.1%"),
        ({"after": {**COOL, "screen_on": False}}, "the screen was off"),
        ({"after": {**COOL, "charging": True}}, "charging changed"),
        ({"before": {**COOL, "power_saver": True}}, "the power saver was on"),
        (
            {"clocks": [clocks(2_000_000), clocks(2_000_000, most=2_100_000)]},
            "the clock limit fell from 2800 to 2100 MHz",
        ),
        (
            {"clocks": [clocks(2_000_000), clocks(1_700_000)]},
            "the clock fell to 1700 MHz from 2000 MHz in the first block",
        ),
    ],
)
def test_each_reason(changes: dict[str, Any], reason: str) -> None:
    assert judged(**changes) == [reason]


def test_all_reasons_are_told() -> None:
    found = judged(before={**COOL, "thermal_status": 4}, times=times(0.2))
    assert found == ["throttled: thermal status 4", "unstable: CV 20.0%"]


def test_an_emulated_processor_is_neither_steady_nor_slow() -> None:
    assert judged(kind="emulated", times=times(0.5), clocks=[clocks(1), clocks(1)]) == []


@pytest.mark.parametrize(
    "reading",
    [
        {},
        {"cpus": None},
        {"cpus": "x"},
        {"cpus": [None, {"khz": True}, {"khz": "2000"}, {}]},
    ],
)
def test_readings_that_tell_nothing(reading: dict[str, Any]) -> None:
    assert end_clock([reading]) is None
    assert judged(clocks=[reading, reading]) == []


def test_the_battery() -> None:
    assert check_battery({}) == []
    assert check_battery({"battery_percent": 30}) == []
    (warning,) = check_battery({"battery_percent": 29})
    assert "29 %" in warning
    assert "15" in check_battery({"battery_percent": 15})[0]
    refused(DeviceUnready, 75, "14 %", lambda: check_battery({"battery_percent": 14}))
    assert check_battery({"battery_percent": 3}, force=True) != []


def test_the_lock_screen() -> None:
    assert check_lock({}) == check_lock({"locked": None}) == check_lock({"locked": False}) == []
    error = refused(DeviceUnready, 75, "locked", lambda: check_lock({"locked": True}))
    assert "--force" in error.hint
    assert check_lock({"locked": True}, force=True) != []
