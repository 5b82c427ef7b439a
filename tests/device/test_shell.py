"""Commands on a scripted phone through the real adb: true statuses, nothing injected."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time

import pytest

from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceMissing,
    DeviceOffline,
    DevicePermission,
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    InternalError,
    RunnerKilled,
    SpecError,
    Unsupported,
)
from tests.device.hostile_words import hostile_words
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone

KINDS = {
    "shell_v2": {},
    "no shell_v2": {"shell_v2": False},
    "terminal": {"shell_v2": False, "terminal": True},
}


def shell_of(server: AdbServer, phone: ScriptedPhone) -> Shell:
    return Shell(Adb(server.program, server.whole_environment()), phone.serial)


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def any_phone(request: pytest.FixtureRequest, make_phone: MakePhone) -> ScriptedPhone:
    return make_phone(30, **request.param)


@pytest.fixture
def shell(adb_server: AdbServer, any_phone: ScriptedPhone) -> Shell:
    return shell_of(adb_server, any_phone)


@pytest.fixture
def modern(adb_server: AdbServer, phone: ScriptedPhone) -> Shell:
    return shell_of(adb_server, phone)


@pytest.mark.parametrize("status", [0, 1, 7, 127, 255])
def test_the_status_is_the_commands_own(shell: Shell, status: int) -> None:
    assert shell.run(["sh", "-c", f"exit {status}"], check=False).status == status


def test_output_comes_back_without_the_mark(shell: Shell) -> None:
    assert shell.run(["printf", "no newline"]).stdout == b"no newline"
    assert shell.run(["printf", "two\nlines\n"]).stdout == b"two\nlines\n"
    assert shell.run(["true"]).stdout == b""


def test_stderr_is_apart_where_the_phone_can(shell: Shell) -> None:
    reply = shell.run(["ls", "-1", "/data/local/tmp/nothing"], check=False)
    assert reply.status == 1
    said, other = (reply.stderr, reply.stdout) if shell.splits else (reply.stdout, reply.stderr)
    assert b"No such file" in said
    assert other == b""


def test_a_folder_to_run_in(shell: Shell, any_phone: ScriptedPhone) -> None:
    shell.run(["mkdir", "-p", "/data/local/tmp/a b"])
    shell.run(["mkdir", "-p", "inside"], cwd="/data/local/tmp/a b")
    assert any_phone.files() == ["a b/", "a b/inside/"]
    with pytest.raises(EdgekitError):
        shell.run(["mkdir", "-p", "x"], cwd="/data/local/tmp/none")
    assert len(any_phone.files()) == 2


def test_failures_are_typed(shell: Shell) -> None:
    with pytest.raises(Unsupported, match="no command frobnicate"):
        shell.run(["frobnicate"])
    with pytest.raises(DevicePermission):
        shell.run(["mkdir", "-p", "/data/secret"])
    with pytest.raises(InternalError, match="status 1"):
        shell.run(["false"])


def test_a_question_without_an_answer(shell: Shell) -> None:
    assert shell.ask(["cat", "/proc/nothing"]) is None
    assert shell.ask(["getprop", "ro.product.model"]) == "Wren 5\n"


def test_hostile_words_arrive_as_they_are(modern: Shell, phone: ScriptedPhone) -> None:
    """2,000 words through adb and the phone's shell: none changed, nothing else started."""
    words = hostile_words(2000)
    start = len(phone.executed)
    for at in range(0, len(words), 50):
        some = words[at : at + 50]
        reply = modern.run(["printf", r"%s\n--next--\n", *some])
        sent = "".join(f"{word}\n--next--\n" for word in some)
        assert reply.stdout == sent.encode("utf-8", "surrogateescape")
    programs = {executed[0] for executed in phone.executed[start:]}
    assert programs <= {"printf", "echo"}
    assert phone.files() == []
    assert phone.sandbox.escapes == []


def test_hostile_folders_and_single_words(shell: Shell) -> None:
    for word in hostile_words(44):
        path = f"/data/local/tmp/{word.replace('/', '_')}x"
        shell.run(["mkdir", "-p", path])
        arrived = word.encode("utf-8", "surrogateescape")
        assert shell.run(["printf", "%s", word], cwd=path).stdout == arrived


@pytest.mark.parametrize("words", [[], ["a\0b"], ["x" * 70_000]], ids=["none", "nul", "long"])
def test_commands_that_cannot_be_sent(modern: Shell, words: list[str]) -> None:
    with pytest.raises(SpecError):
        modern.run(words)


def test_a_long_answer_is_cut(modern: Shell, phone: ScriptedPhone) -> None:
    phone.faults.properties["ro.product.model"] = "x" * 3_000_000
    with pytest.raises(DeviceReplyRefused):
        modern.run(["getprop", "ro.product.model"], most=2**20)


def test_a_command_that_hangs(modern: Shell) -> None:
    before = time.monotonic()
    with pytest.raises(DeviceTimeout, match="longer than 1 s"):
        modern.run(["sleep", "30"], timeout=1)
    assert time.monotonic() - before < 3


def test_the_cable_comes_out(shell: Shell, any_phone: ScriptedPhone) -> None:
    """adb 29 ends with 0 then: the missing last line is what tells."""
    assert shell.features
    threading.Timer(0.5, any_phone.unplug).start()
    before = time.monotonic()
    with pytest.raises((DeviceOffline, DeviceMissing)) as caught:
        shell.run(["sleep", "30"])
    assert caught.value.exit_status in (69, 75)
    assert time.monotonic() - before < 2.5


def test_a_phone_that_is_gone(adb_server: AdbServer) -> None:
    gone = Shell(Adb(adb_server.program, adb_server.whole_environment()), "nobody")
    with pytest.raises(DeviceMissing):
        gone.run(["ls"])
    with pytest.raises(DeviceMissing):
        _ = gone.features


def stream(shell: Shell, words: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        shell.argv(words, cwd="/data/local/tmp"),
        env=shell.adb.variables(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_streaming_gives_the_status(shell: Shell) -> None:
    done = stream(shell, ["sh", "-c", "echo one; exit 7"])
    lines = done.stdout.decode().split()
    assert lines[0] == "one"
    if shell.splits:
        assert done.returncode == 7
        assert lines == ["one"]
    else:
        assert done.returncode == 0
        assert json.loads(lines[-1]) == {"event": "exit", "status": 7}


def test_how_a_streamed_command_ended(modern: Shell) -> None:
    assert modern.ended(0, b"") is None
    assert modern.ended(64, "usage") is None
    killed = modern.ended(128 + signal.SIGKILL, "")
    assert isinstance(killed, RunnerKilled)
    assert "low memory" in killed.message
    illegal = modern.ended(128 + signal.SIGILL, "")
    assert illegal is not None
    assert "SIGILL" in illegal.message
    assert "processor" in illegal.message
    assert isinstance(modern.ended(127, "libx.so not found"), RunnerKilled)
    assert isinstance(modern.ended(126, "Permission denied"), DevicePermission)
    assert "this computer" in str(modern.ended(-9, ""))
    assert "signal 33" in str(modern.ended(128 + 33, ""))


def test_a_stream_that_lost_its_phone(modern: Shell, phone: ScriptedPhone) -> None:
    threading.Timer(0.5, phone.unplug).start()
    done = stream(modern, ["sleep", "20"])
    before = time.monotonic()
    assert isinstance(modern.ended(done.returncode, done.stderr), DeviceOffline)
    assert time.monotonic() - before < 2
