"""``edgekit eval --runtime device``: real adb, scripted phones, the real arm64 runner."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed, Program, clean_environment
from tests.device.conftest import arm64_onnx_runner
from tests.scoring import classifier
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone
from tests.support.vocabulary import SENTENCES

__all__ = ["arm64_onnx_runner"]
pytestmark = pytest.mark.arm64

Evaluate = Callable[..., Completed]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    classifier.bundle(folder)
    classifier.labelled(folder / "labelled.jsonl")
    return folder


@pytest.fixture
def evaluate(
    edgekit: Program, adb_server: AdbServer, arm64_onnx_runner: Path, home: Path
) -> Evaluate:
    """Run ``edgekit eval`` on the classifier and its data with the tests' adb server."""

    def run(*words: str | Path, **more: str) -> Completed:
        given = ("eval", home / "classifier", "--data", home / "labelled.jsonl", *words)
        return edgekit(*given, env={**adb_server.environment, **more})

    return run


def test_a_phone_and_this_machine_in_one_table(evaluate: Evaluate, phone: ScriptedPhone) -> None:
    done = evaluate("--runtime", "onnx,device", "--json", "-o", "run.json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    here, there = document["contestants"]
    assert [here["runtime"], there["runtime"]] == ["onnx", "device onnx"]
    assert there["details"]["phone"]["serial"] == phone.serial
    assert document["data"]["scored"] == len(SENTENCES)
    assert there["flips"]["counts"] == {"now wrong": 0, "now right": 0, "otherwise": 0}
    assert there["latency_ms"] is None  # the pass says nothing of the phone's time
    accuracy = {one["name"]: one["figures"][0]["value"] for one in (here, there)}
    assert len(set(accuracy.values())) == 1
    assert any("--job" in run for run in phone.executed)
    assert phone.clean()


def test_harm_and_a_second_phone_by_its_serial(evaluate: Evaluate, make_phone: MakePhone) -> None:
    first, other = make_phone(35), make_phone(30)
    unsaid = evaluate("--runtime", "device")
    assert unsaid.returncode == 64, unsaid.stderr
    assert "--serial" in unsaid.stderr
    words = ("--runtime", "device", "--robustness", "4", "--limit", "8", "--json")
    done = evaluate(*words, "--serial", other.serial)
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["contestants"]
    assert [harm["rows"] for harm in one["robustness"]] == [4] * 5
    assert first.executed == []
    assert other.clean()


def test_no_phone_is_told_before_anything_is_asked(evaluate: Evaluate, home: Path) -> None:
    done = evaluate("--runtime", "onnx,device", "-o", "run.json")
    assert done.returncode == 69, done.stderr
    assert "no phone is connected" in done.stderr
    assert "reading" not in done.stderr
    unasked = evaluate("--runtime", "onnx", "--serial", "x")
    assert unasked.returncode == 64
    assert "Add device to --runtime" in unasked.stderr


def test_a_phone_that_cannot_run_it(
    evaluate: Evaluate, make_phone: MakePhone, tmp_path: Path
) -> None:
    phone = make_phone(35)
    unbuilt = evaluate("--runtime", "device", EDGEKIT_HOME=str(tmp_path / "empty"))
    assert unbuilt.returncode == 69
    assert "edgekit runner build" in unbuilt.stderr
    phone.storage_free = 100_000
    full = evaluate("--runtime", "device")
    assert full.returncode == 74, full.stderr
    phone.faults.properties["ro.product.cpu.abilist"] = "armeabi-v7a"
    old = evaluate("--runtime", "device")
    assert old.returncode == 78, old.stderr
    assert "armeabi-v7a" in old.stderr
    assert phone.clean()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_a_stopped_run_goes_on_with_what_the_phone_had_said(
    evaluate: Evaluate,
    adb_server: AdbServer,
    phone: ScriptedPhone,
    home: Path,
    tmp_path: Path,
) -> None:
    # One batch, and some more.
    rows = [{"text": SENTENCES[at % len(SENTENCES)], "label": at % 3} for at in range(320)]
    data = tmp_path / "many.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    words = ["eval", home / "classifier", "--data", data, "--runtime", "device", "-o", "run.json"]
    start = [sys.executable, "-m", "edgekit", *map(str, words), "-q"]
    env = clean_environment(**adb_server.environment)
    kept = tmp_path / ".run.json.answers" / "0.jsonl"
    with subprocess.Popen(start, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        # The first batch below a line that says whose it is: they are written one by one.
        while _lines(kept) < 257 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert _lines(kept) == 257
    assert process.returncode == 130
    assert phone.clean()
    asked = len(phone.executed)
    done = subprocess.run(
        start, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["data"]["scored"] == len(rows)
    jobs = sum("--job" in run for run in phone.executed[asked:])
    assert jobs == 1
