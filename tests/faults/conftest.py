"""The program, phones, a bundle; and at the end a table of the cases with status and time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.device.conftest import arm64_runner
from tests.faults.program import PROMISE, Ended, Program
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import adb_server, make_phone, phone

__all__ = ["adb_server", "arm64_runner", "make_phone", "phone"]

_cases: list[tuple[str, Ended, str]] = []


@pytest.fixture
def program(adb_server: AdbServer, tmp_path: Path, request: pytest.FixtureRequest) -> Program:
    """The real program; every run of it becomes a line of the table."""

    def note(ended: Ended) -> None:
        try:
            code = ended.error["code"]
        except (ValueError, KeyError):
            code = "-"
        _cases.append((request.node.name, ended, code))

    return Program(adb_server, tmp_path, note)


@pytest.fixture(scope="session")
def promise(adb_server: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from the program's start to the name of a fault that adb knows already.

    Two for the naming; twice those of a run that has nothing to name, as they are now on this
    machine, for all the rest.
    """
    program = Program(adb_server, tmp_path_factory.mktemp("start"), lambda ended: None)
    words = ("doctor", "--device", "--serial", "none")
    return PROMISE + 2 * min(program(*words).seconds for _ in range(2))


def assert_clean(phone: ScriptedPhone) -> None:
    """The phone is as it was: no files, the same settings, nothing running, nothing unknown."""
    assert phone.files() == []
    assert phone.settings == phone.settings_at_start
    assert phone.processes == {}
    assert phone.unknown == []
    assert phone.sandbox.escapes == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _cases:
        return
    terminalreporter.section("faults: case, verb, exit status, code, seconds")
    for name, ended, code in _cases:
        line = f"{name:50} {ended.verb:8} {ended.status:4} {code:20} {ended.seconds:6.2f}"
        terminalreporter.write_line(line)
