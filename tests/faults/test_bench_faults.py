"""Benches on phones that are hot, low, dark or leave in the middle: flagged, kept, resumable."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import assert_clean
from tests.faults.program import PROMISE, Program, until
from tests.support.phone import AdbServer, ScriptedPhone

pytestmark = pytest.mark.arm64
QUICK = [
    "--quick",
    "--runtime",
    "executorch",
    "--lengths",
    "8",
    "--threads",
    "1",
    "--cooldown",
    "0",
    "-o",
    "bench.json",
]


@pytest.fixture(autouse=True)
def _runner(arm64_runner: Path) -> None:
    """These all start it."""


def record(program: Program) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((program.folder / "bench.json").read_bytes())
    return found


def timed(phone: ScriptedPhone) -> int:
    """Runs that the phone was asked for."""
    return sum("--job" in words for words in phone.executed)


def test_a_battery_that_is_nearly_empty(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.battery_percent = 9
    ended = program("bench", tiny_bundle, *QUICK, "--json")
    ended.failed("device-unready", 75, "battery is at 9 %", "Charge the phone")
    assert timed(phone) == 0
    assert_clean(phone)


def test_a_locked_screen(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.faults.locked = True
    ended = program("bench", tiny_bundle, *QUICK, "--json")
    ended.failed("device-unready", 75, "the screen is locked", "--force")
    assert timed(phone) == 0
    assert_clean(phone)
    forced = program("bench", tiny_bundle, *QUICK, "--force", "--json")
    assert forced.status == 0, forced.err
    assert any("the screen was locked" in line for line in record(program)["warnings"])
    assert_clean(phone)


def test_a_hot_phone_never_counts(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.thermal = [3]
    ended = program("bench", tiny_bundle, *QUICK)
    assert "Traceback" not in ended.err
    assert "throttled: thermal status 3" in ended.out
    blocks = record(program)["blocks"]
    assert blocks
    assert not any(block["valid"] for block in blocks)
    assert_clean(phone)


def test_the_cable_comes_out_in_mid_bench(
    program: Program, adb_server: AdbServer, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    running = program.start("bench", tiny_bundle, *QUICK, "--json")
    until(lambda: timed(phone) >= 3 and bool(phone.processes), 60)
    running.from_now()
    phone.unplug()
    ended = running.end()
    assert ended.status == 75, ended.err
    assert ended.seconds < PROMISE
    kept = record(program)
    assert (kept["complete"], len(kept["blocks"]) >= 1) == (False, True)
    assert kept["stopped"]["code"] in {"device-offline", "transfer-broken"}
    adb_server.replug(phone)
    again = program("bench", tiny_bundle, *QUICK[:-2], "--resume", "bench.json", "--json")
    assert again.status == 0, again.err
    assert record(program)["complete"]
    assert_clean(phone)


def test_stopped_in_mid_bench(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    running = program.start("bench", tiny_bundle, *QUICK)
    until(lambda: timed(phone) >= 3 and bool(phone.processes), 60)
    running.send(signal.SIGINT)
    ended = running.end()
    assert ended.status == 130, ended.err
    assert ended.seconds < PROMISE
    assert record(program)["complete"] is False
    assert_clean(phone)


def test_the_runner_dies_in_mid_bench(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    running = program.start("bench", tiny_bundle, *QUICK, "--json")
    until(lambda: timed(phone) >= 3, 60)
    phone.faults.kill, phone.faults.out_of_memory = signal.SIGKILL, True
    running.end().failed("runner-killed", 70, "SIGKILL")
    kept = record(program)
    assert (kept["complete"], kept["stopped"]["code"]) == (False, "runner-killed")
    assert_clean(phone)
