"""Runners that are killed, crash, hang, lose their cable, or are stopped by the user."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from edgekit.device import stream
from tests.faults.conftest import assert_clean
from tests.faults.program import PROMISE, Program, until
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.faults import exactly
from tests.support.phone.fixtures import MakePhone

pytestmark = pytest.mark.arm64
ARTIFACT = ("--runtime", "executorch")


@pytest.fixture(autouse=True)
def _runner(arm64_runner: Path) -> None:
    """These all start it."""


@pytest.mark.parametrize("api", [24, 30, 35])
def test_nothing_is_wrong(
    program: Program, make_phone: MakePhone, tiny_bundle: Path, api: int
) -> None:
    phone = make_phone(api)
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    assert ended.status == 0, ended.err
    (place,) = ended.document["places"]
    assert [check["status"] for check in place["checks"]] == ["passed"]
    assert_clean(phone)


def test_a_locked_screen_is_a_remark(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.locked = True
    ended = program("test", tiny_bundle, *ARTIFACT)
    assert ended.status == 0, ended.err
    assert "note: the screen is locked; answers do not depend on it" in ended.out
    assert "done in" in ended.err
    assert_clean(phone)


@pytest.mark.parametrize(
    ("number", "reason", "shell_v2"),
    [
        (signal.SIGKILL, "low memory", True),
        (signal.SIGKILL, "low memory", False),
        (signal.SIGSEGV, "memory that is not its own", True),
        (signal.SIGILL, "instruction that this processor does not have", True),
    ],
    ids=["SIGKILL", "SIGKILL-no-shell_v2", "SIGSEGV", "SIGILL"],
)
def test_the_runner_is_killed(
    program: Program,
    make_phone: MakePhone,
    tiny_bundle: Path,
    number: signal.Signals,
    reason: str,
    shell_v2: bool,
) -> None:
    phone = make_phone(24, shell_v2=shell_v2, terminal=True)
    phone.faults.kill, phone.faults.kill_after = number, 2
    phone.faults.out_of_memory = number == signal.SIGKILL
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    error = ended.failed("runner-killed", 70, number.name)
    assert reason in error["message"] + error["hint"]
    if number == signal.SIGKILL:
        assert "lowmemorykiller" in error["message"]
    assert_clean(phone)


def test_the_runner_hangs(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.faults.hang = True
    ended = program("test", tiny_bundle, *ARTIFACT, "--timeout", "3", "--json")
    ended.failed("device-timeout", 75, "3 s", "Unlock")
    assert_clean(phone)


@pytest.mark.parametrize("shell_v2", [True, False], ids=["", "no-shell_v2"])
def test_the_cable_comes_out_in_mid_run(
    program: Program,
    adb_server: AdbServer,
    make_phone: MakePhone,
    tiny_bundle: Path,
    shell_v2: bool,
) -> None:
    phone = make_phone(24, shell_v2=shell_v2, terminal=True)
    phone.faults.drop_run_after = 3
    running = program.start("test", tiny_bundle, *ARTIFACT, "--json")
    until(lambda: any("--job" in words for words in phone.executed))
    until(lambda: adb_server.state(phone) != "device")
    running.from_now()
    ended = running.end()
    assert ended.error["code"] in {"device-offline", "transfer-broken"}
    ended.failed(ended.error["code"], 75, hint="cable")
    assert ended.seconds < PROMISE
    phone.faults.drop_run_after = None
    adb_server.replug(phone)
    # The next session cleans up, whatever then becomes of itself.
    phone.faults.lines = exactly(b"nonsense\n")
    program("test", tiny_bundle, *ARTIFACT, "--json").failed("device-reply", 65)
    assert_clean(phone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_mid_run(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, number: signal.Signals
) -> None:
    phone.faults.hang = True
    running = program.start("test", tiny_bundle, *ARTIFACT)
    until(lambda: any("--job" in words for words in phone.executed))
    assert phone.settings != phone.settings_at_start
    running.send(number)
    ended = running.end()
    assert ended.status == 128 + number, ended.err
    assert "Traceback" not in ended.err
    assert ended.seconds < PROMISE
    assert_clean(phone)


def test_allowed_during_the_wait(
    program: Program, adb_server: AdbServer, make_phone: MakePhone, tiny_bundle: Path
) -> None:
    phone = make_phone(connect=False)
    phone.faults.unauthorized = True
    adb_server.connect(phone)
    refused = program("test", tiny_bundle, *ARTIFACT, "--json")
    refused.failed("device-unauthorized", 77, phone.serial, "tap Allow")
    running = program.start("test", tiny_bundle, *ARTIFACT, "--wait", "20", "--json")
    with pytest.raises(AssertionError, match="not within"):
        until(lambda: running.process.poll() is not None, 1.5)
    phone.allow()
    assert running.end().status == 0
    assert_clean(phone)


def test_all_phones_and_one_fails(
    program: Program, make_phone: MakePhone, tiny_bundle: Path
) -> None:
    good, bad = make_phone(30), make_phone(35)
    bad.faults.corrupt = "model-executorch"
    ended = program("test", tiny_bundle, *ARTIFACT, "--all", "--json")
    assert ended.status == 75, ended.err
    by_serial = {place["serial"]: place for place in ended.document["places"]}
    assert [c["status"] for c in by_serial[good.serial]["checks"]] == ["passed"]
    assert "model-executorch arrived" in str(by_serial[bad.serial])
    for phone in (good, bad):
        assert_clean(phone)


def test_a_phone_that_is_no_64_bit_arm(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.properties["ro.product.cpu.abilist"] = "armeabi-v7a,armeabi"
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("unsupported", 78, "armeabi-v7a", "64-bit Arm")
    assert_clean(phone)


def test_a_phone_that_computes_other_numbers(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    def disturb(folder: Path) -> None:
        answers = stream.read(folder / "outputs")
        noise = np.random.default_rng(1)
        for sample in answers[3:]:
            sample[:] = [a + noise.normal(size=a.shape).astype(np.float32) for a in sample]
        stream.write(folder / "outputs", answers)

    phone.faults.after_run = disturb
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("parity-failed", 1, "model.pte")
    assert "done in" not in ended.err
    assert_clean(phone)


def test_a_corrupt_answer_on_the_way_back(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.corrupt_back = "outputs"
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("transfer-broken", 75, "outputs", "cable")
    assert_clean(phone)


def test_a_phone_that_starts_no_programs(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.may_not_start = True
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("device-permission", 77, "does not let the program start")
    assert_clean(phone)


def test_a_phone_without_sha256sum(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    """Old ones have the weaker sum only, which still finds what cables do; without any, nothing."""
    phone.faults.missing = ("sha256sum", "sha1sum")
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("unsupported", 78, "no command sha1sum")
    assert_clean(phone)
    phone.faults.missing, phone.faults.corrupt = ("sha256sum",), "model-executorch"
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("transfer-broken", 75, "model-executorch arrived")
    assert_clean(phone)


def test_somebody_kills_the_adb_server(program: Program, tiny_bundle: Path) -> None:
    with AdbServer() as server, ScriptedPhone() as phone:
        server.connect(phone)
        phone.faults.hang = True
        led = Program(server, program.folder, program.note)
        running = led.start("test", tiny_bundle, *ARTIFACT, "--json")
        until(lambda: any("--job" in words for words in phone.executed))
        running.from_now()
        server.adb("kill-server")
        ended = running.end()
        assert ended.error["code"] in {"device-offline", "device-missing", "transfer-broken"}
        ended.failed(ended.error["code"], ended.error["exit_status"])
        assert ended.status in {69, 75}
        assert ended.seconds < PROMISE
