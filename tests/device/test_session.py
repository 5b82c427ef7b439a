"""Sessions on the scripted phone: nothing stays behind, whatever ended the one before."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.device.adb import Adb
from edgekit.device.push import push
from edgekit.device.session import NOTE, ROOT, STAY_ON, Note, Session, owner, parse
from edgekit.errors import DeviceOffline, DevicePermission, EdgekitError
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone
from tests.support.phone.interpreter import Process
from tests.support.refusals import refused

KEY = ("global", STAY_ON)


def dead() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def leave(phone: ScriptedPhone, note: Note | None, *, token: str = "0123456789ab") -> Path:
    """A session's folder as a killed one leaves it."""
    folder = phone.root / "edgekit" / token
    (folder / ".part").mkdir(parents=True)
    (folder / ".part" / "half").write_bytes(b"half")
    (folder / "model").write_bytes(b"whole")
    if note is not None:
        (folder / NOTE).write_text(note.text())
    return folder


@pytest.mark.parametrize("api", [24, 30, 35])
@pytest.mark.parametrize("setting", [None, "0", "3", "7", "15"])
def test_the_phone_is_as_it_was(
    adb: Adb, make_phone: MakePhone, api: int, setting: str | None
) -> None:
    phone = make_phone(api)
    phone.settings.pop(KEY, None)
    if setting is not None:
        phone.settings[KEY] = setting
    before = dict(phone.settings)
    with Session(adb, phone.serial) as session:
        assert int(phone.settings[KEY]) & 7 == 7
        assert session.folder.startswith(ROOT + "/")
        assert phone.files() == [
            "edgekit/",
            *(f"edgekit/{session.folder[-12:]}{n}" for n in ("/", f"/{NOTE}")),
        ]
        assert session.remarks == []
        assert phone.screen_on
    assert phone.settings == before
    assert phone.files() == []
    assert phone.unknown == []
    session.close()


def test_an_error_inside_ends_it_too(adb: Adb, phone: ScriptedPhone) -> None:
    with pytest.raises(KeyboardInterrupt), Session(adb, phone.serial):
        raise KeyboardInterrupt
    assert phone.files() == []
    assert phone.settings == phone.settings_at_start


def test_keep_leaves_the_files_and_nothing_else(
    adb: Adb, phone: ScriptedPhone, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"x" * 1000)
    with Session(adb, phone.serial, keep=True) as first:
        push(adb, first.shell, {"model": path}, first.folder)
    assert any(name.endswith("/model") for name in phone.files())
    assert phone.settings == phone.settings_at_start
    # This process lives on, so its folder counts as in use; a later process finds it.
    (phone.root / first.folder[len("/data/local/tmp/") :] / NOTE).write_text(
        Note(owner(), dead(), None).text()
    )
    with Session(adb, phone.serial) as second:
        assert second.adopted
        assert push(adb, second.shell, {"model": path}, second.folder).resumed == 1
    assert phone.files() == []


def test_what_a_killed_session_left_is_settled(adb: Adb, phone: ScriptedPhone) -> None:
    leave(phone, Note(owner(), dead(), "0"))
    leave(phone, Note(owner(), dead(), None), token="ba9876543210")
    phone.settings[KEY] = "7"
    with Session(adb, phone.serial) as session:
        assert session.adopted
        assert (
            len([name for name in phone.files() if name.count("/") == 2 and name[-1] == "/"]) == 1
        )
    assert phone.settings[KEY] == "0"
    assert phone.files() == []


def test_a_living_session_is_left_alone(adb: Adb, phone: ScriptedPhone) -> None:
    folder = leave(phone, Note(owner(), os.getpid(), "0"))
    phone.settings[KEY] = "7"
    with Session(adb, phone.serial) as session:
        assert not session.adopted
        assert session.remarks == ["another session of edgekit is at work on this phone"]
    assert (folder / "model").exists()
    assert phone.settings[KEY] == "7", "it is the other one's to give back"


def test_another_computer_counts_by_age(adb: Adb, phone: ScriptedPhone) -> None:
    note = Note("f" * 64, 1, "0")
    folder = leave(phone, note)
    with Session(adb, phone.serial) as session:
        assert not session.adopted
    long_ago = time.time() - 25 * 3600
    os.utime(folder, (long_ago, long_ago))
    with Session(adb, phone.serial) as session:
        assert session.adopted
    assert phone.files() == []


def test_a_folder_without_a_note_counts_by_age(adb: Adb, phone: ScriptedPhone) -> None:
    folder = leave(phone, None)
    with Session(adb, phone.serial) as session:
        assert not session.adopted
    minutes_ago = time.time() - 120
    os.utime(folder, (minutes_ago, minutes_ago))
    with Session(adb, phone.serial) as session:
        assert session.adopted
    assert phone.files() == []


def test_names_that_are_not_ours_are_not_touched(adb: Adb, phone: ScriptedPhone) -> None:
    names = ["0123456789ab; rm -rf x", "$(reboot)", "..x", "0123456789AB", "0123456789abc", "-rf"]
    for name in names:
        (phone.root / "edgekit" / name).mkdir(parents=True)
    before = phone.files()
    said = "\n".join(["..", "../..", "/", "../0123456789ab", *names]).encode()
    phone.faults.answers["ls", "-1", ROOT] = said
    with Session(adb, phone.serial) as session:
        folder = session.folder
    assert phone.files() == before
    assert phone.sandbox.escapes == []
    touched = {word for words in phone.executed for word in words if word.startswith("/data")}
    assert all(word == ROOT or word.startswith(folder) for word in touched)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edgekit-session 1\n",
        Note("f" * 64, 1, "0").text().replace("stay_on 0", "stay_on 0; reboot"),
        Note("f" * 64, 1, "0").text().replace("pid 1", "pid -1"),
        Note("f" * 64, 1, "0").text() + "more\n",
        Note("f" * 64, 1, "0").text().replace("stay_on 0", "stay_on ٣"),
        "x" * 10_000,
    ],
)
def test_a_note_is_read_exactly_or_not_at_all(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("stay_on", [None, "null", "0", "15"])
def test_a_note_comes_back(stay_on: str | None) -> None:
    note = Note(owner(), 4711, stay_on)
    assert parse(note.text()) == note
    assert parse(note.text().replace("\n", "\r\n")) == note
    assert re.fullmatch(r"[0-9a-f]{64}", note.owner), "never the computer's name"


def test_what_the_phone_does_not_tell_is_a_remark(adb: Adb, phone: ScriptedPhone) -> None:
    phone.faults.answers["settings", "get", "global", STAY_ON] = b"$(reboot)\n"
    with Session(adb, phone.serial) as session:
        assert "left alone" in session.remarks[0]
    assert phone.settings == phone.settings_at_start


def test_a_phone_that_refuses_its_scratch_folder(adb: Adb, phone: ScriptedPhone) -> None:
    phone.faults.read_only = ("/data/local/tmp/*",)
    refused(DevicePermission, 77, "refuses", Session(adb, phone.serial).__enter__)
    assert phone.settings == phone.settings_at_start


def test_a_cable_that_comes_out_ends_quickly(
    adb: Adb, adb_server: AdbServer, phone: ScriptedPhone
) -> None:
    session = Session(adb, phone.serial).__enter__()
    phone.unplug()
    began = time.monotonic()
    session.close()
    assert time.monotonic() - began < 3
    with pytest.raises(EdgekitError) as caught:
        session.shell.run(["echo"])
    assert isinstance(caught.value, DeviceOffline)
    adb_server.replug(phone)
    assert phone.settings[KEY] != phone.settings_at_start.get(KEY)
    (phone.root / "edgekit" / session.folder[-12:] / NOTE).write_text(
        Note(owner(), dead(), phone.settings_at_start.get(KEY, "null")).text()
    )
    with Session(adb, phone.serial):
        pass
    assert phone.settings == phone.settings_at_start
    assert phone.files() == []


WAITS = """
import sys, time
from edgekit.cli.entry import _signals
from edgekit.device.adb import Adb
from edgekit.device.session import Session
with _signals(), Session(Adb(sys.argv[1]), sys.argv[2]):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(adb: Adb, phone: ScriptedPhone, number: int) -> None:
    words = [sys.executable, "-c", WAITS, adb.program, phone.serial]
    with subprocess.Popen(
        words, env=adb.variables(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.wait(30)
    if number == signal.SIGKILL:
        assert phone.files() != []
        with Session(adb, phone.serial) as session:
            assert session.adopted
    assert phone.files() == []
    assert phone.settings == phone.settings_at_start


@pytest.mark.parametrize("ended", [KeyboardInterrupt, SystemExit])
def test_what_arrives_late_is_swept_too(
    adb: Adb, phone: ScriptedPhone, ended: type[BaseException]
) -> None:
    """A copy whose adb was ended may still be under way when the folder has been removed."""
    rmdir = phone.tools["rmdir"]
    late: list[Path] = []

    def then_a_file(process: Process) -> int:
        status = rmdir(process)
        if not late:
            late.append(phone.root / "edgekit" / token / ".part" / "file")
            late[0].parent.mkdir(parents=True)
            late[0].write_bytes(b"late")
        return status

    session = Session(adb, phone.serial)
    token = Path(session.folder).name
    phone.tools["rmdir"] = then_a_file
    with pytest.raises(ended), session:
        raise ended
    assert len(late) == 1
    assert phone.files() == []
