"""A runner (or whoever answers for it) that prints what no runner should: bounded and named."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import assert_clean
from tests.faults.program import Ended, Program
from tests.support.phone import ScriptedPhone
from tests.support.phone.faults import exactly, long_line, repeated

pytestmark = pytest.mark.arm64
ARTIFACT = ("--runtime", "executorch")
MOST_MEMORY = 150 << 20


def event(name: str, **fields: object) -> bytes:
    return json.dumps({"event": name, **fields}).encode() + b"\n"


HELLO = event("hello", protocol=2, runtime="executorch", version="1", machine="aarch64", pid=77)
SAMPLE = event("sample", index=0, round=0, ms=1.0)
Lines = Callable[[], Iterable[bytes]]


@pytest.fixture(autouse=True)
def _runner(arm64_runner: Path) -> None:
    """It is pushed, and then does not run."""


def after_hello(lines: Lines) -> Lines:
    def both() -> Iterable[bytes]:
        yield HELLO
        yield from lines()

    return both


def run(program: Program, bundle: Path) -> tuple[Ended, int]:
    """One test of a bundle, and the most memory that the program took."""
    running = program.start("test", bundle, *ARTIFACT, "--json")
    most = 0

    def look() -> None:
        nonlocal most
        while running.process.poll() is None:
            try:
                most = max(most, psutil.Process(running.process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.05)

    looking = threading.Thread(target=look)
    looking.start()
    ended = running.end(90)
    looking.join()
    return ended, most


LINES: dict[str, Lines] = {
    "long": after_hello(long_line(100_000_000)),
    "binary": exactly(bytes(range(256)) * 4, b"\n"),
    "text": exactly(b"Segmentation fault\n"),
    "other json": exactly(b"[1, 2]\n"),
    "deep": exactly(b"[" * 60_000 + b"\n"),
    "huge number": exactly(
        HELLO, event("sample", index=0, ms=0).replace(b"0}", b"9" * 5000 + b"}")
    ),
    "no event": exactly(HELLO, b'{"ms": 1}\n'),
    "terminal": exactly(b"\x1b]0;owned\x07\x1b[2J\n"),
    "half a line": exactly(HELLO, b'{"event":"sam'),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_that_are_no_events(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, name: str
) -> None:
    phone.faults.lines = LINES[name]
    ended, memory = run(program, tiny_bundle)
    said = "ended before its last event" if name == "half a line" else ""
    error = ended.failed("device-reply", 65, said)
    assert "Finch 8 Pro" in error["message"]
    assert error["message"].isprintable()
    assert len(error["message"]) < 2000
    assert "\x1b" not in ended.err
    assert memory < MOST_MEMORY
    assert_clean(phone)


def test_a_million_events(program: Program, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.faults.lines = after_hello(repeated(SAMPLE, 1_000_000))
    ended, memory = run(program, tiny_bundle)
    ended.failed("device-reply", 65, "before its last event, after 1000000 samples")
    assert memory < MOST_MEMORY
    assert_clean(phone)


@pytest.mark.parametrize("fields", [{"outputs": "../../../evil"}, {"path": "/etc/passwd"}])
def test_names_in_events_are_not_used(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, fields: dict[str, str]
) -> None:
    phone.faults.lines = exactly(HELLO, event("done", samples=1, ms=1, **fields))
    ended, _ = run(program, tiny_bundle)
    ended.failed("device-reply", 65, "done, and its outputs are missing")
    assert not [words for words in phone.executed if any("evil" in w for w in words)]
    assert list(program.folder.iterdir()) == []
    assert_clean(phone)


def test_a_hostile_pid_is_not_killed(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    for pid in (-1, "1; reboot"):
        hello = event("hello", protocol=2, runtime="executorch", version="1", pid=pid)
        phone.faults.lines, phone.faults.status = exactly(hello, b"nonsense\n"), 139
        ended, _ = run(program, tiny_bundle)
        ended.failed("device-reply", 65)
        assert ("kill", "-9", "-1") not in phone.executed
        assert_clean(phone)


@pytest.mark.parametrize(
    "answers",
    [b"EKTENSOR", b"EKTENSOR\1\0\0\0\xff\xff\xff\x7f" + b"\xff" * 64],
    ids=["cut", "boundless"],
)
def test_hostile_answers(
    program: Program, phone: ScriptedPhone, tiny_bundle: Path, answers: bytes
) -> None:
    def lines() -> Iterable[bytes]:
        # The working folder is the only one; the job names the file of the answers.
        (job,) = phone.root.glob("edgekit/*/job.txt")
        words = dict(line.split(" ", 1) for line in job.read_text().splitlines())
        (job.parent / words["outputs"]).write_bytes(answers)
        yield HELLO
        yield event("done", samples=1, ms=1)

    phone.faults.lines = lines
    ended, memory = run(program, tiny_bundle)
    ended.failed("device-reply", 65, "Finch 8 Pro")
    assert memory < MOST_MEMORY
    assert_clean(phone)
