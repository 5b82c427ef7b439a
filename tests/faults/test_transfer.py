"""Copies to a phone that break off, do not fit, are refused, or arrive with other bytes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edgekit.bundle.hashing import sha256_file
from edgekit.device import push
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from tests.faults.conftest import assert_clean
from tests.faults.program import PROMISE, Program, until
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone
from tests.support.phone.sandbox import HOME

pytestmark = pytest.mark.arm64
ARTIFACT = ("--runtime", "executorch")


@pytest.fixture(autouse=True)
def _runner(arm64_runner: Path) -> None:
    """These all need something to push."""


def test_the_cable_comes_out_in_mid_push(
    program: Program, adb_server: AdbServer, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.drop_push_after = 8 << 20
    running = program.start("test", tiny_bundle, *ARTIFACT, "--json")
    until(lambda: phone.sandbox.pushed > 8 << 20)
    running.from_now()
    ended = running.end()
    error = ended.failed("transfer-broken", 75, phone.serial, "cable")
    assert error["message"].isprintable()
    assert ended.seconds < PROMISE
    assert any(name.startswith("edgekit/") for name in phone.files())
    # The next run goes on with what is there, and leaves nothing.
    phone.faults.drop_push_after = None
    adb_server.replug(phone)
    again = program("test", tiny_bundle, *ARTIFACT, "--json")
    assert again.status == 0, again.err
    (place,) = again.document["places"]
    assert place["copied"]["resumed"] >= 1
    assert_clean(phone)


def test_too_little_room(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.storage_free = 512 << 10
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    error = ended.failed("device-storage-full", 74, "have 0.5 MiB", "Free some space")
    assert error["details"]["need_bytes"] > error["details"]["have_bytes"]
    assert phone.sandbox.pushed < 4096, "the room is looked at first"
    assert_clean(phone)


@pytest.mark.parametrize("verb", ["test", "bench"])
def test_room_for_a_part_of_it_only(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, verb: str
) -> None:
    """The runner's libraries alone do not fit: nothing of the rest is sent before that is told."""
    model = (tiny_bundle / "model.pte").stat().st_size
    phone.storage_free = 2 * model + (1 << 20)
    ended = program(verb, tiny_bundle, *ARTIFACT, "--json")
    error = ended.failed("device-storage-full", 74, "need", "Free some space")
    assert error["details"]["need_bytes"] > error["details"]["have_bytes"] > 1.1 * model
    assert phone.sandbox.pushed < 4096
    assert_clean(phone)


def test_full_in_mid_push(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.faults.storage_full_after = 5 << 20
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("device-storage-full", 74, phone.serial, "Free some space")
    assert_clean(phone)


@pytest.mark.parametrize("name", ["model-executorch", "ld-linux-aarch64.so.1"])
def test_a_corrupt_copy(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, name: str
) -> None:
    phone.faults.corrupt = name
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("transfer-broken", 75, f"{name} arrived", "cable")
    assert not [words for words in phone.executed if words[0].startswith("./")]
    assert_clean(phone)


@pytest.mark.parametrize("fault", ["refused", "read_only"])
def test_a_folder_that_may_not_be_used(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, fault: str
) -> None:
    setattr(phone.faults, fault, (f"{HOME}/*",))
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    ended.failed("device-permission", 77, phone.serial, "/data/local/tmp")
    assert_clean(phone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_mid_push(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, number: signal.Signals
) -> None:
    phone.faults.bytes_per_second = 4e6
    running = program.start("test", tiny_bundle, *ARTIFACT)
    until(lambda: phone.sandbox.pushed > 2 << 20)
    phone.faults.bytes_per_second = None
    running.send(number)
    ended = running.end()
    assert ended.status == 128 + number, ended.err
    assert "Traceback" not in ended.err
    assert ended.seconds < PROMISE
    assert_clean(phone)


def test_killed_without_a_word(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    """SIGKILL leaves files and a changed setting; the next session sets both right."""
    phone.faults.bytes_per_second = 4e6
    running = program.start("test", tiny_bundle, *ARTIFACT)
    until(lambda: phone.sandbox.pushed > 2 << 20)
    running.send(signal.SIGKILL)
    assert running.end().status == -signal.SIGKILL
    phone.faults.bytes_per_second = None
    assert phone.files() != []
    assert phone.settings != phone.settings_at_start
    assert program("test", tiny_bundle, *ARTIFACT).status == 0
    assert_clean(phone)


def test_a_slow_link_and_an_old_phone(
    program: Program, make_phone: MakePhone, tiny_bundle: Path
) -> None:
    phone = make_phone(24, shell_v2=False, terminal=True)
    phone.faults.bytes_per_second = 20e6
    ended = program("test", tiny_bundle, *ARTIFACT, "--json")
    assert ended.status == 0, ended.err
    assert_clean(phone)


@pytest.mark.slow
def test_a_file_of_more_than_4_gib(
    adb_server: AdbServer, phone: ScriptedPhone, tmp_path: Path
) -> None:
    """The sync protocol tells sizes in 32 bits; ours come from the phone's own tools."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate((4 << 30) + 5)
    shell = Shell(Adb(adb_server.program, adb_server.whole_environment()), phone.serial)
    done = push.push(shell.adb, shell, {"huge": huge}, f"{HOME}/edgekit")
    assert (done.files, done.sent) == (1, (4 << 30) + 5)
    arrived = phone.root / "edgekit/huge"
    assert arrived.stat().st_size == (4 << 30) + 5
    assert push.push(shell.adb, shell, {"huge": huge}, f"{HOME}/edgekit").resumed == 1
    assert sha256_file(arrived) == sha256_file(huge)
