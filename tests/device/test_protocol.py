"""Driving a process that may say anything: each case is a real child process."""

from __future__ import annotations

import re
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from edgekit.device import protocol
from edgekit.errors import (
    CannotWrite,
    EdgekitError,
    InputMissing,
    InputRefused,
    InternalError,
    RunnerKilled,
    SpecError,
    StorageFull,
    TemporaryFailure,
)


def drive(script: str, folder: Path, timeout: float = 20) -> protocol.Event:
    return protocol.drive(
        [sys.executable, "-I", "-c", script], where="here", cwd=folder, timeout=timeout
    )


def says(text: str, status: int = 0) -> str:
    return f"import sys; sys.stdout.write({text!r}); sys.exit({status})"


def test_the_last_event_comes_back(tmp_path: Path) -> None:
    done = drive(says('{"event":"sample","index":0}\n{"event":"done","samples":1}\n'), tmp_path)
    assert done == {"event": "done", "samples": 1}


@pytest.mark.parametrize(
    "said",
    [
        "Segmentation fault\n",
        '{"event": 3}\n',
        "[1, 2]\n",
        '{"event":"sample"\n',
        "\x00\x01\x1b[31m\n",
        "[" * 50_000 + "\n",
        '{"event":"caf\u00e9"}\n',
    ],
)
def test_garbage_is_named_and_bounded(tmp_path: Path, said: str) -> None:
    with pytest.raises(InternalError, match="not an event") as caught:
        drive(says(said), tmp_path)
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "line over 64 KiB"),
        (
            "import sys\nline = '{\"event\":\"heartbeat\"' + ' ' * 60000 + '}\\n'\n"
            "while True: sys.stdout.write(line)",
            "more than 64 MiB at once",
        ),
    ],
)
def test_endless_output_is_cut(tmp_path: Path, script: str, reason: str) -> None:
    before = psutil.Process().memory_info().rss
    with pytest.raises(InternalError, match=reason):
        drive(script, tmp_path)
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
    assert not psutil.Process().children()


def test_endless_stderr_is_kept_short(tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('e' * 20_000_000 + '\\nlast line'); sys.exit(3)"
    with pytest.raises(InternalError, match=r"status 3 on here; its last words: .* last line$"):
        drive(script, tmp_path)


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("job", SpecError, 64),
        ("cores", SpecError, 64),
        ("inputs", InputRefused, 65),
        ("missing", InputMissing, 66),
        ("stream", InternalError, 70),
        ("no such code", InternalError, 70),
        ("output", CannotWrite, 73),
        ("storage-full", StorageFull, 74),
    ],
)
def test_reported_errors_are_typed(
    tmp_path: Path, code: str, kind: type[EdgekitError], status: int
) -> None:
    line = f'{{"event":"error","code":"{code}","message":"the reason\\u001b[0m","status":0}}\n'
    with pytest.raises(kind, match=r"the reason \[0m \(on here\)") as caught:
        drive(says(line, status), tmp_path)
    assert caught.value.exit_status == status


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (0x14, InternalError, "0x14 OperatorMissing.*does not have"),
        (0x20, InternalError, "0x20 NotFound"),
        (0x23, InputRefused, "0x23 InvalidProgram.*damaged"),
        (0x99, InternalError, "0x99 unknown"),
    ],
)
def test_executorch_errors_are_explained(
    tmp_path: Path, number: int, kind: type[EdgekitError], words: str
) -> None:
    line = f'{{"event":"error","code":"executorch","message":"loading","status":{number}}}\n'
    with pytest.raises(kind, match=words):
        drive(says(line, 70), tmp_path)


@pytest.mark.parametrize(
    ("number", "kind"), [(1, InternalError), (7, InputRefused), (10, InputRefused)]
)
def test_onnx_runtimes_errors_are_typed(
    tmp_path: Path, number: int, kind: type[EdgekitError]
) -> None:
    line = f'{{"event":"error","code":"onnx","message":"loading: reason","status":{number}}}\n'
    with pytest.raises(kind, match="loading: reason") as caught:
        drive(says(line, 70), tmp_path)
    assert type(caught.value) is kind
    assert caught.value.details["onnx_status"] == number


def test_memory_is_flat_however_much_it_says(tmp_path: Path) -> None:
    """More than is kept, slower than the limit: a long bench's worth of lines."""
    script = (
        "import sys\n"
        "for n in range(600_000):\n"
        '    sys.stdout.write(\'{"event":"sample","index":%d,"ms":1.5}\\n\' % n)\n'
        'print(\'{"event":"done"}\')'
    )
    before, count = psutil.Process().memory_info().rss, 0

    def on_event(event: protocol.Event) -> None:
        nonlocal count
        count += 1

    words = [sys.executable, "-I", "-c", script]
    protocol.drive(words, where="here", cwd=tmp_path, timeout=120, on_event=on_event)
    assert count == 600_001
    assert psutil.Process().memory_info().rss - before < 8 * 2**20


def test_what_is_said_over_time_may_be_more_than_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_MOST_AT_ONCE", 10_000)
    monkeypatch.setattr(protocol, "_MOST_A_SECOND", 100_000)
    line = '{"event":"heartbeat","pad":"' + "x" * 4000 + '"}\n'
    script = (
        "import sys, time\n"
        f"for n in range(10): sys.stdout.write({line!r}); sys.stdout.flush(); time.sleep(PAUSE)\n"
        'print(\'{"event":"done"}\')'
    )
    drive(script.replace("PAUSE", "0.1"), tmp_path)
    with pytest.raises(InternalError, match="more than 64 MiB at once"):
        drive(script.replace("PAUSE", "0"), tmp_path)


def test_the_error_table_is_executorchs() -> None:
    header = "executorch/include/executorch/runtime/core/error.h"
    text = Path(str(metadata.distribution("executorch").locate_file(header))).read_text()
    theirs = {int(n, 16): name for name, n in re.findall(r"^  (\w+) = (0x\w+),", text, re.M)}
    ours = {number: name for number, (name, _) in protocol.EXECUTORCH_ERRORS.items()}
    assert len(theirs) > 15
    assert {n: theirs.get(n) for n in ours} == ours
    assert {n for n in theirs if n >= 0x10} <= set(ours)


def test_success_without_an_end_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="ended with status 0"):
        drive(says('{"event":"sample","index":0}\n'), tmp_path)


def test_a_signal_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunnerKilled, match="ended by SIGSEGV on here"):
        drive("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path)


@pytest.mark.parametrize("script", ["time.sleep(60)", "os.closerange(0, 3); time.sleep(60)"])
def test_a_hang_ends_in_time_and_leaves_no_child(tmp_path: Path, script: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match="did not finish"):
        drive(f"import os, time; {script}", tmp_path, timeout=0.5)
    assert time.monotonic() - began < 10
    assert not psutil.Process().children()
