"""Every wrong input that needs no model: the right status, a message, a hint, no traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli.texts import choose
from edgekit.errors import PermissionRefused
from tests.conftest import Completed, Program

CASES = {
    "no verb": ([], 2, "Usage:"),
    "unknown verb": (["nonsense"], 2, "no such command 'nonsense'"),
    "unknown option": (["export", "minilm", "--nonsense"], 2, "--nonsense"),
    "missing argument": (["inspect"], 2, "BUNDLE"),
    "bad number": (["export", "minilm", "--max-length", "0"], 2, "--max-length"),
    "empty list item": (["verify", "b", "--isa", "a53,,a76"], 2, "--isa"),
    "unknown shell": (["completion", "tcsh"], 2, "tcsh"),
    "text and file": (["run", "b", "text", "--file", "f"], 2, "not both"),
    "unknown target": (["export", "minilm", "--target", "toaster"], 64, "'toaster'"),
    "unknown task": (["export", "minilm", "--task", "fil-mask"], 64, "Did you mean 'fill-mask'?"),
    "unknown runtime": (["export", "minilm", "--runtime", "onnx,tflite"], 64, "'tflite'"),
    "unknown delegate": (["export", "minilm", "--delegate", "coreml"], 64, "'coreml'"),
    "unknown scheme": (["export", "minilm", "--quantize", "int2"], 64, "'int2'"),
    "nnapi for a .pte": (
        ["export", "minilm", "--delegate", "nnapi", "--runtime", "executorch"],
        78,
        "xnnpack",
    ),
    "missing model": (["export", "./nowhere"], 66, "nowhere"),
    "missing bundle, inspect": (["inspect", "nowhere"], 66, "no such bundle: nowhere"),
    "missing bundle, verify": (["verify", "nowhere"], 66, "no such bundle: nowhere"),
    "missing bundle, run": (["run", "nowhere", "text"], 66, "no such bundle: nowhere"),
    "plain folder, inspect": (["inspect", "folder"], 65, "not a bundle"),
    "plain folder, verify": (["verify", "folder", "--arm64"], 65, "not a bundle"),
    "plain folder, run": (["run", "folder", "text"], 65, "not a bundle"),
    "file for a folder": (["inspect", "file.txt"], 65, "is a file"),
    "missing --file": (["run", "folder", "--file", "nowhere.txt"], 66, "nowhere.txt"),
    "folder for --file": (["run", "folder", "--file", "folder"], 65, "is a folder"),
}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("text\n")
    return tmp_path


def assert_no_traceback(done: Completed) -> None:
    assert "Traceback" not in done.stderr
    assert 'File "' not in done.stderr


@pytest.mark.parametrize("case", CASES)
def test_status_and_message(edgekit: Program, places: Path, case: str) -> None:
    words, status, telling = CASES[case]
    done = edgekit(*words)
    assert done.returncode == status
    assert telling in done.stderr
    assert done.stdout == ""
    assert_no_traceback(done)
    if status >= 64:
        assert done.stderr.startswith("error: ")
        assert "\nhint:  " in done.stderr


@pytest.mark.parametrize("case", [case for case in CASES if case != "no verb"])
def test_json_failure_is_one_document(edgekit: Program, places: Path, case: str) -> None:
    words, status, telling = CASES[case]
    done = edgekit(*words, "--json")
    document = json.loads(done.stdout)
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "exit_status", "message", "hint", "details"}
    assert document["error"]["exit_status"] == status == done.returncode
    assert telling in document["error"]["message"] + document["error"]["hint"]
    assert_no_traceback(done)


def test_verbose_shows_no_traceback_for_a_mistake(edgekit: Program, places: Path) -> None:
    assert_no_traceback(edgekit("-v", "inspect", "folder"))


def test_json_word_after_a_double_dash_is_a_text(edgekit: Program, places: Path) -> None:
    done = edgekit("run", "folder", "--", "--json")
    assert (done.returncode, done.stdout) == (65, "")


def test_control_characters_in_a_name_do_not_reach_the_terminal(edgekit: Program) -> None:
    done = edgekit("inspect", "evil\x1b[2Jname")
    assert done.returncode == 66
    assert "\x1b" not in done.stderr
    assert "\\x1b[2Jname" in done.stderr


def test_unreadable_file(places: Path) -> None:
    secret = places / "file.txt"
    secret.chmod(0)
    user = os.geteuid()
    # Root may read anything, so ask as nobody.
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionRefused, match="cannot be read") as refused:
            choose((), str(secret))
    finally:
        os.seteuid(user)
    assert refused.value.exit_status == 77


def test_no_text_on_a_terminal_is_a_usage_error(tmp_path: Path) -> None:
    parent, child = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "run", "folder"],
        stdin=child,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    os.close(parent)
    os.close(child)
    assert done.returncode == 2
    assert "no text" in done.stderr
