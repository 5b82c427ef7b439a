"""``edgekit distill`` as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit_converters.distill.distilling import WORK
from tests.conftest import Program, clean_environment
from tests.support.models import tiny_sentence_bert
from tests.support.training import TEXTS, environment


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tiny_sentence_bert(tmp_path / "teacher", num_hidden_layers=4)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return tmp_path


WORDS = ("distill", "teacher", "--data", "texts.txt", "--layers", "2", "--batch", "8")


def test_a_student_is_made_and_shown(edgekit: Program, place: Path) -> None:
    done = edgekit(*WORDS, "--steps", "10", "-o", "student", env=environment(place))
    assert done.returncode == 0, done.stderr
    for word in ("layers tried", "distilled", "untrained", "random start", "The teacher "):
        assert word in done.stdout
    assert "edgekit export student" in done.stdout
    assert "[5/7] train" in done.stderr
    assert (place / "student" / "model.safetensors").is_file()
    words = ("--force", "--steps", "3", "--no-controls", "--loss", "cosine", "--json", "-q")
    again = edgekit(*WORDS, *words, "-o", "student", env=environment(place))
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    document = json.loads(again.stdout)
    assert document["folder"] == "student"
    names = [run["run"] for run in document["report"]["runs"]]
    assert names == ["distilled", "untrained", "teacher"]


@pytest.mark.parametrize(
    ("words", "status", "word"),
    [
        (("distill", "teacher"), 64, "no data"),
        ((*WORDS, "--loss", "cosin"), 64, "Did you mean 'cosine'"),
    ],
)
def test_wrong_requests(
    edgekit: Program, place: Path, words: tuple[str, ...], status: int, word: str
) -> None:
    done = edgekit(*words, env=environment(place))
    assert done.returncode == status, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in place.iterdir() if "distilled" in path.name]


@pytest.mark.slow
@pytest.mark.long
def test_killed_and_given_again_it_comes_to_the_same(edgekit: Program, place: Path) -> None:
    words = (*WORDS, "--steps", "60", "--no-controls")
    whole = edgekit(*words, "-o", "other/student", env=environment(place))
    assert whole.returncode == 0, whole.stderr
    command = [sys.executable, "-m", "edgekit", *words, "-o", "student"]
    with subprocess.Popen(
        command, cwd=place, env=clean_environment(**environment(place)), stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 200
        while not list(place.glob(f"student{WORK}/*/student/checkpoint-*/complete")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert not (place / "student").exists()
    done = edgekit(*words, "-o", "student", env=environment(place))
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr
    first, second = (place / name / "model.safetensors" for name in ("student", "other/student"))
    assert first.read_bytes() == second.read_bytes()
    assert not (place / f"student{WORK}").exists()
    left = [path.name for path in place.iterdir() if path.name.startswith(".")]
    assert left == []
