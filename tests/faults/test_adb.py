"""adb itself is missing, of another version, silent, or on another machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.adb_impostors import listening, of_version
from tests.faults.program import Program
from tests.support.phone import AdbServer, ScriptedPhone


def test_no_adb(program: Program, promise: float, tmp_path: Path) -> None:
    # A package of this name without an adb inside stands before the real one.
    (tmp_path / "adbutils").mkdir()
    (tmp_path / "adbutils" / "__init__.py").touch()
    nowhere = {"PATH": str(tmp_path), "ANDROID_HOME": "", "ANDROID_SDK_ROOT": ""}
    nowhere["PYTHONPATH"] = str(tmp_path)
    ended = program("devices", "--json", env=nowhere)
    ended.failed("adb-missing", 69, "adb was not found", "apt-get install adb")
    assert ended.seconds < promise


def test_a_named_adb_that_is_none(program: Program, tmp_path: Path) -> None:
    named = {"EDGEKIT_ADB": str(tmp_path / "adb")}
    program("devices", "--json", env=named).failed("adb-missing", 69, "EDGEKIT_ADB")


def test_a_server_of_another_version(program: Program) -> None:
    with listening(of_version(40)) as port:
        ended = program("devices", "--json", env={"ANDROID_ADB_SERVER_PORT": str(port)})
    ended.failed("adb-server", 75, "version (40) doesn't match", "EDGEKIT_ADB")


def test_something_else_on_the_port(program: Program) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        ended = program("devices", "--json", env={"ANDROID_ADB_SERVER_PORT": str(port)})
    ended.failed("adb-server", 75, hint="adb kill-server")


def test_a_port_that_is_no_number(program: Program) -> None:
    ended = program("devices", "--json", env={"ANDROID_ADB_SERVER_PORT": "adb"})
    ended.failed("spec", 64, hint="ANDROID_ADB_SERVER_PORT")


def test_a_remote_lab(program: Program, adb_server: AdbServer, phone: ScriptedPhone) -> None:
    lab = {"ADB_SERVER_SOCKET": f"tcp:127.0.0.1:{adb_server.port}", "ANDROID_ADB_SERVER_PORT": ""}
    lab["PATH"] = os.environ["PATH"]
    (found,) = program("devices", "--json", env=lab).document["devices"]
    assert (found["serial"], found["usable"]) == (phone.serial, True)


def test_a_remote_lab_that_is_gone(program: Program) -> None:
    with listening(None) as port:
        pass
    lab = {"ADB_SERVER_SOCKET": f"tcp:127.0.0.1:{port}"}
    ended = program("devices", "--json", env=lab)
    ended.failed("adb-server", 75, "ADB_SERVER_SOCKET", "adb -a nodaemon server start")
