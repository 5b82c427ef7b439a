"""The real adb program, found and started in all the ways that can fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from edgekit.device import adb
from edgekit.device.adb import Adb
from edgekit.errors import (
    AdbMissing,
    AdbServerFailed,
    DeviceMissing,
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    InternalError,
    SpecError,
)
from tests.support.phone import AdbServer


@pytest.fixture
def client(adb_server: AdbServer) -> Adb:
    return Adb(adb_server.program, adb_server.whole_environment())


def program(folder: Path, body: str, name: str = "adb") -> Path:
    """A program of our own in the place of adb."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!{sys.executable} -I\nimport os, sys, time\n{body}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbutils", None)  # as where it is not installed
    with pytest.raises(AdbMissing) as caught:
        adb.find({"PATH": str(tmp_path)})
    assert caught.value.exit_status == 69
    assert "apt-get install adb" in caught.value.hint


def test_the_named_program_wins(tmp_path: Path) -> None:
    named = program(tmp_path / "named", "")
    program(tmp_path / "path", "")
    program(tmp_path / "sdk" / "platform-tools", "")
    where = {"PATH": str(tmp_path / "path"), "ANDROID_HOME": str(tmp_path / "sdk")}
    assert adb.find({**where, "EDGEKIT_ADB": str(named)}).program == str(named)
    assert adb.find(where).program == str(tmp_path / "path" / "adb")


def test_the_one_inside_adbutils_is_the_last_resort(tmp_path: Path) -> None:
    if importlib.util.find_spec("adbutils") is None:
        pytest.skip("adbutils is not installed")
    found = adb.find({"PATH": str(tmp_path)})
    assert Path(found.program).parts[-3:] == ("adbutils", "binaries", "adb")
    assert found.run(["version"]).status == 0


@pytest.mark.parametrize("variable", ["ANDROID_HOME", "ANDROID_SDK_ROOT"])
def test_the_sdk_has_one(tmp_path: Path, variable: str) -> None:
    inside = program(tmp_path / "sdk" / "platform-tools", "")
    found = adb.find({"PATH": str(tmp_path), variable: str(tmp_path / "sdk")})
    assert found.program == str(inside)


def test_the_adbutils_package_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "adbutils"
    inside = program(package / "binaries", "")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    assert adb.find({"PATH": str(tmp_path)}).program == str(inside)


def test_a_named_program_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AdbMissing, match="EDGEKIT_ADB names no program"):
        adb.find({"PATH": os.defpath, "EDGEKIT_ADB": str(tmp_path / "nowhere")})


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "adb").write_bytes(b"\x7fELF nothing")
    (tmp_path / "adb").chmod(0o755)
    with pytest.raises(AdbMissing, match="cannot be started"):
        Adb(str(tmp_path / "adb")).run(["devices"])


def test_the_words_aim_at_a_phone() -> None:
    assert Adb("adb").argv(["shell", "ls"], "R5") == ["adb", "-s", "R5", "shell", "ls"]
    assert Adb("adb").argv(["devices"]) == ["adb", "devices"]


def test_a_reply(client: Adb) -> None:
    reply = client.run(["devices"])
    assert reply.status == 0
    assert reply.text.startswith("List of devices attached")


def test_a_failure_is_typed_at_once(client: Adb) -> None:
    before = time.monotonic()
    with pytest.raises(DeviceMissing, match="nobody"):
        client.run(["shell", "ls"], serial="nobody")
    assert time.monotonic() - before < 2
    assert client.run(["get-state"], serial="nobody", check=False).status == 1


def test_an_unknown_failure_says_what_adb_said(client: Adb) -> None:
    with pytest.raises(InternalError, match=r"status 1.*unknown command"):
        client.run(["frobnicate"])


def test_a_nul_is_refused(client: Adb) -> None:
    with pytest.raises(SpecError, match="NUL"):
        client.run(["shell", "a\0b"])


def test_endless_output_is_cut(tmp_path: Path) -> None:
    endless = program(tmp_path, "while True: sys.stdout.write('x' * 65536)")
    before = psutil.Process().memory_info().rss
    with pytest.raises(DeviceReplyRefused, match="longer than 1048576 bytes"):
        Adb(str(endless)).run(["shell", "x"], most=2**20)
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
    assert not psutil.Process().children()


@pytest.mark.parametrize(
    ("words", "kind"), [(["shell", "sleep"], DeviceTimeout), (["devices"], AdbServerFailed)]
)
def test_a_hang_is_ended(tmp_path: Path, words: list[str], kind: type[EdgekitError]) -> None:
    hanging = program(tmp_path, "time.sleep(60)")
    before = time.monotonic()
    with pytest.raises(kind) as caught:
        Adb(str(hanging)).run(words, timeout=0.5)
    assert caught.value.exit_status == 75
    assert time.monotonic() - before < 2
    assert not psutil.Process().children()


def test_closed_pipes_do_not_end_the_wait_for_a_hang(tmp_path: Path) -> None:
    closing = program(tmp_path, "os.close(1); os.close(2); time.sleep(60)")
    with pytest.raises(DeviceTimeout):
        Adb(str(closing)).run(["shell", "x"], timeout=0.5)
    assert not psutil.Process().children()


@contextmanager
def listener(answers: dict[bytes, bytes]) -> Iterator[int]:
    """A server at a port of its own that answers adb's requests, and is no adb server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    size = int(connection.recv(4) or b"0", 16)
                    connection.sendall(answers.get(connection.recv(size), b"HTTP"))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def elsewhere(server: AdbServer, **more: str) -> Adb:
    variables = server.whole_environment()
    variables.pop("ANDROID_ADB_SERVER_PORT")
    return Adb(server.program, {**variables, **more})


def test_a_server_of_another_version(adb_server: AdbServer) -> None:
    with listener({b"host:version": b"OKAY00040001"}) as port:
        other = elsewhere(adb_server, ANDROID_ADB_SERVER_PORT=str(port))
        with pytest.raises(AdbServerFailed, match="another version") as caught:
            other.run(["devices"])
    assert "EDGEKIT_ADB" in caught.value.hint


def test_something_else_at_the_port(adb_server: AdbServer) -> None:
    with listener({}) as port:
        other = elsewhere(adb_server, ANDROID_ADB_SERVER_PORT=str(port))
        with pytest.raises(AdbServerFailed, match="protocol fault"):
            other.run(["devices"])


def test_a_remote_server_that_is_not_there(adb_server: AdbServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(AdbServerFailed, match="ADB_SERVER_SOCKET"):
        elsewhere(adb_server, ADB_SERVER_SOCKET=f"tcp:127.0.0.1:{port}").run(["devices"])


def test_a_remote_server(adb_server: AdbServer) -> None:
    """As in a lab: the server is named by a socket and no server of our own is started."""
    remote = elsewhere(adb_server, ADB_SERVER_SOCKET=f"tcp:127.0.0.1:{adb_server.port}")
    assert remote.run(["devices"]).text.startswith("List of devices")


@pytest.mark.parametrize(
    "variables", [{"ADB_SERVER_SOCKET": "nonsense"}, {"ANDROID_ADB_SERVER_PORT": "abc"}]
)
def test_an_address_that_makes_no_sense(adb_server: AdbServer, variables: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="address of the adb server"):
        elsewhere(adb_server, **variables).run(["devices"])


def test_this_machine_has_adb() -> None:
    assert adb.find().program == shutil.which("adb")
