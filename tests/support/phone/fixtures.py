"""Fixtures for tests with phones. A conftest imports the names that its tests use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.support.phone.device import ScriptedPhone
from tests.support.phone.server import AdbServer

MakePhone = Callable[..., ScriptedPhone]


@pytest.fixture(scope="session")
def adb_server() -> Iterator[AdbServer]:
    """One adb server for the whole run."""
    if shutil.which("adb") is None:
        if os.environ.get("EDGEKIT_REQUIRE_ADB") == "1":
            pytest.fail("no adb: sudo apt-get install adb")
        pytest.skip("no adb: sudo apt-get install adb")
    with AdbServer() as server:
        yield server


@pytest.fixture
def adb_environment(adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> AdbServer:
    """This process itself is led to the tests' server, for calls that start adb from here."""
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    return adb_server


@pytest.fixture
def make_phone(adb_server: AdbServer) -> Iterator[MakePhone]:
    """Make connected phones: the arguments are those of ScriptedPhone; gone after the test."""
    made: list[ScriptedPhone] = []

    def make(api: int = 35, *, connect: bool = True, **more: object) -> ScriptedPhone:
        phone = ScriptedPhone(api, **more)
        made.append(phone)
        if connect:
            adb_server.connect(phone)
        return phone

    yield make
    for phone in made:
        adb_server.disconnect(phone)
        phone.close()


@pytest.fixture
def phone(make_phone: MakePhone) -> ScriptedPhone:
    """One connected phone of API 35."""
    return make_phone()
