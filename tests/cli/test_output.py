"""What reaches stdout and stderr, and how a command ends that nobody foresaw."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli.output import Output, printable
from edgekit.cli.progress import describe, seconds
from edgekit.cli.render import cosine, size
from edgekit.stages import Progress
from tests.conftest import Program, clean_environment


def python(code: str, *, close: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    if close:
        command = ["sh", "-c", f'exec "$@" {close}', "sh", *command]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=clean_environment(**env),
        timeout=60,
        check=False,
    )


NOISY = """
import logging, os, subprocess, sys, warnings
from edgekit.cli.output import Output
output = Output()
output.verbose = {verbose}
with output.libraries_quiet():
    print("python print"); print("python error", file=sys.stderr)
    os.write(1, b"native print\\n"); os.write(2, b"native error\\n")
    subprocess.run(["echo", "child print"])
    warnings.warn("a deprecation", DeprecationWarning); warnings.warn("a warning")
    logging.getLogger("noisy").warning("a log line")
    output.text("the result"); output.say("a remark")
output.text("more result")
"""


def test_libraries_reach_neither_stdout_nor_stderr() -> None:
    done = python(NOISY.format(verbose=False))
    assert done.returncode == 0
    assert done.stdout == "the result\nmore result\n"
    assert done.stderr == "a remark\n"


def test_verbose_lets_libraries_speak_on_stderr_only() -> None:
    done = python(NOISY.format(verbose=True))
    assert done.stdout == "the result\nmore result\n"
    for words in ("python print", "native print", "child print", "a warning", "a log line"):
        assert words in done.stderr


def test_streams_come_back_after_a_failure_in_the_quiet() -> None:
    done = python(
        "from edgekit.cli.output import Output\n"
        "output = Output()\n"
        "try:\n"
        "    with output.libraries_quiet(): raise ValueError\n"
        "except ValueError: print('back')\n"
    )
    assert done.stdout == "back\n"


UNFORESEEN = """
import sys
from edgekit import api
from edgekit.cli import main
def broken(path):
    {action}
api.Bundle.open = broken
sys.exit(main({words}))
"""


def unforeseen(action: str, *words: str) -> subprocess.CompletedProcess[str]:
    return python(UNFORESEEN.format(action=action, words=["inspect", "x", *words]))


def test_a_bug_is_one_line_and_70() -> None:
    done = unforeseen("raise ZeroDivisionError('odd')")
    assert done.returncode == 70
    assert "internal error: ZeroDivisionError: odd" in done.stderr
    assert "-v" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bug_shows_its_traceback_with_v() -> None:
    done = unforeseen("raise ZeroDivisionError('odd')", "-v")
    assert done.returncode == 70
    assert "Traceback" in done.stderr


def test_a_bug_is_one_json_document() -> None:
    done = unforeseen("raise ZeroDivisionError('odd')", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "internal"


def test_a_full_disk_that_nobody_caught_is_74() -> None:
    done = unforeseen("open('/dev/full', 'w').write('x' * 100_000)")
    assert done.returncode == 74
    assert "no space left" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_result_that_cannot_be_written_is_no_success() -> None:
    for words in ("doctor", "doctor --json", "--help", "completion bash"):
        command = f"{sys.executable} -m edgekit {words} > /dev/full"
        done = subprocess.run(
            command,
            shell=True,
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=False,
        )
        assert done.returncode == 74, words
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_unwinds_and_names_itself(name: str, status: int) -> None:
    action = (
        "import contextlib, os, signal\n"
        "    with contextlib.ExitStack() as stack:\n"
        "        stack.callback(lambda: print('cleaned', file=sys.stderr))\n"
        f"        os.kill(os.getpid(), signal.{name}); signal.pause()"
    )
    done = unforeseen(action, "--json")
    assert done.returncode == status
    assert "cleaned" in done.stderr
    assert f"stopped by {name}" in done.stderr
    assert json.loads(done.stdout)["error"]["exit_status"] == status


def test_a_pipe_closed_under_a_write_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "doctor"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_name_that_is_no_text_is_still_one_document() -> None:
    words = [sys.executable, "-m", "edgekit", "inspect", "--json", b"caf\xe9-\xff"]
    for encoding in ("utf-8", "ascii", "latin-1"):
        done = subprocess.run(
            words,
            capture_output=True,
            env=clean_environment(PYTHONIOENCODING=encoding),
            check=False,
        )
        assert json.loads(done.stdout)["error"]["code"] == "input-missing"
        assert b"caf\\udce9" in done.stderr


def test_closed_stdout_is_harmless() -> None:
    code = "import sys; from edgekit.cli import main; sys.exit(main(['doctor']))"
    done = python(code, close=">&-")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def on_a_terminal(*words: str, **env: str) -> str:
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=child,
        env=clean_environment(**{"TERM": "xterm-256color", **env}),
    ):
        os.close(child)
        shown = b""
        # Linux reports the end of a terminal as an error.
        try:
            while piece := os.read(parent, 65536):
                shown += piece
        except OSError:
            pass
    os.close(parent)
    return shown.decode()


def test_colour_on_a_terminal_unless_no_color() -> None:
    words = ("-m", "edgekit", "doctor")
    assert "\x1b[32m" in on_a_terminal(*words)
    assert "\x1b[3" not in on_a_terminal(*words, NO_COLOR="1")


def test_no_colour_in_a_pipe(edgekit: Program) -> None:
    assert "\x1b" not in edgekit("doctor").stdout


JOB = """
import sys, time
from edgekit.cli.output import Output
from edgekit.stages import Stages
output = Output()
output.quiet = {quiet}
with output.progress() as progress:
    stages = Stages({{"load": 1.0, "lower": 3.0}}, progress)
    with stages.stage("load"): time.sleep(0.3)
    with stages.stage("lower"): stages.note("six operators left")
    stages.finish()
"""


def test_progress_is_one_plain_line_a_stage_without_a_terminal() -> None:
    done = python(JOB.format(quiet=False))
    first, second, note, last = done.stderr.splitlines()
    assert first.startswith("[1/2] load")
    assert second.startswith("[2/2] lower")
    assert "left" in second
    assert "six operators left" in note
    assert last.startswith("done in")
    assert done.stdout == ""


def test_progress_is_one_live_line_on_a_terminal() -> None:
    shown = on_a_terminal("-c", JOB.format(quiet=False))
    # The line is erased and drawn again in place.
    assert "\x1b[2K" in shown
    assert "[1/2] load" in shown
    assert "six operators left" in shown
    assert "done in" in shown
    assert "\x1b" not in on_a_terminal("-c", JOB.format(quiet=False), TERM="dumb")


def test_progress_is_silent_when_asked() -> None:
    done = python(JOB.format(quiet=True))
    assert (done.stdout, done.stderr) == ("", "")


def test_progress_estimate_and_clock() -> None:
    line = describe(Progress("lower", 2, 5, 61.0, 125.4, "xnnpack"))
    assert line == "[3/5] lower  1 min 01 s, about 2 min 05 s left  xnnpack"
    assert seconds(59.6) == "1 min 00 s"


def test_a_list_is_one_document_whether_it_ends_or_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from edgekit.errors import TextRefused

    for items in ([], [1], [{"a": "é日"}, 2]):
        output = Output(as_json=True)
        output.begin_list({"head": None}, "items")
        for item in items:
            output.add(item)
        output.end_list({"tail": 1.5})
        printed = capsys.readouterr().out
        assert json.loads(printed) == {"head": None, "items": items, "tail": 1.5}

        output = Output(as_json=True)
        output.begin_list({"head": None}, "items")
        for item in items:
            output.add(item)
        output.fail(TextRefused("too long"))
        document = json.loads(capsys.readouterr().out)
        assert document["items"] == items
        assert document["error"]["message"] == "too long"


def test_numbers_never_flatter() -> None:
    assert cosine(0.99999999) == "0.999999"
    assert cosine(1.0) == "1.000000"
    assert size(22_900_000) == "22.9 MB"
    assert size(None) == "-"
    assert printable("a\tb\x1b[0m\nc") == "a\\tb\\x1b[0m\nc"
    assert printable("naïve 日本語 👩‍💻") == "naïve 日本語 👩‍💻"
