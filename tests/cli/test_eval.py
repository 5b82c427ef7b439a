"""``edgekit eval`` and ``edgekit report`` as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgekit.scoring import gates
from tests.conftest import Program, clean_environment
from tests.scoring import classifier
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    classifier.bundle(folder)
    classifier.labelled(folder / "labelled.jsonl")
    return folder


def test_eager_and_artifact_side_by_side_then_a_page(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    done = edgekit(
        "eval",
        home / "model",
        home / "classifier",
        "--data",
        home / "labelled.jsonl",
        "--show-flips",
        "3",
        "--max-drop",
        "accuracy=0",
        "--junit",
        "gates.xml",
        "-o",
        "run.json",
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(SENTENCES)} of {len(SENTENCES)} rows scored" in done.stdout
    verdicts = [line.split()[-1] for line in done.stdout.splitlines() if "accuracy" in line]
    assert "not" in verdicts  # fp32 differs from eager by rounding alone
    assert "worse" not in verdicts
    assert "gate --max-drop accuracy=0: classifier onnx 0.0000 ok" in done.stdout
    assert "note: fewer than 100 rows" in done.stdout
    assert "[2/4] model eager" in done.stderr
    cases = list(ElementTree.parse(tmp_path / "gates.xml").iter("testcase"))
    assert [case.get("name") for case in cases] == [
        "finite outputs",
        "finite outputs",
        "--max-drop accuracy=0",
    ]
    saved = json.loads((tmp_path / "run.json").read_text())
    assert len(saved["contestants"][1]["marks"]) == len(SENTENCES)
    paged = edgekit("report", "run.json", home / "classifier", "-o", "page.html", "--svg", ".")
    assert paged.returncode == 0, paged.stderr
    assert paged.stdout.split() == ["page.html", "run-pareto.svg"]
    assert "classifier onnx" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "home").mkdir()
    nothing = edgekit("report", "home", "--json")
    assert nothing.returncode == 66
    assert json.loads(nothing.stdout)["error"]["code"] == "input-missing"


def test_a_gate_that_fails_is_the_exit_and_is_in_the_xml(
    edgekit: Program, home: Path, tmp_path: Path
) -> None:
    done = edgekit(
        "eval",
        home / "classifier",
        "--data",
        home / "labelled.jsonl",
        "--json",
        "-q",
        "--min",
        "accuracy=0.999",
        "--min",
        "calibration-error=1",
        "--junit",
        "gates.xml",
    )
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert [gate["passed"] for gate in document["gates"]] == [False, True]
    assert "marks" not in document["contestants"][0]
    assert "a gate did not hold: --min accuracy=0.999: classifier onnx has 0." in done.stderr
    (failure,) = ElementTree.parse(tmp_path / "gates.xml").iter("failure")
    assert "accuracy=0.999" in (failure.get("message") or "")


@pytest.mark.parametrize(
    ("words", "status", "message", "hint"),
    [
        (("--min", "accuracy"), 64, "is not METRIC=NUMBER", "accuracy=0.9"),
        (("--min", "accuracy=nan"), 64, "is not METRIC=NUMBER", "accuracy=0.9"),
        (("--min", "acuracy=0.5"), 64, "no metric is called 'acuracy'", "'accuracy'"),
        (("--max-drop", "accuracy=0.1"), 64, "needs something to hold against", "--baseline"),
        (("--suite", "piqa"), 64, "either --data or --suite", "--suite arc_easy"),
        (("--runtime", "onix"), 64, "unknown runtime 'onix'", "onnx"),
        (("--runtime", "executorch"), 64, "has no executorch artifact", "It has: onnx"),
        (("--runtime", "eager"), 64, "is not at hand", "edgekit eval model"),
        (("--slice", "langs"), 65, "langs is missing", "lang"),
        (("--baseline", "none.json"), 66, "no such file", "edgekit eval ... -o"),
        (("-o", "none/run.json"), 73, "no such folder", "Make it"),
        (("--junit", "none/run.xml"), 73, "no such folder", "Make it"),
    ],
)
def test_what_is_wrong_is_said(
    edgekit: Program, home: Path, words: tuple[str, ...], status: int, message: str, hint: str
) -> None:
    done = edgekit(
        "eval", home / "classifier", "--data", home / "labelled.jsonl", "--limit", "3", *words
    )
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_no_bundle_has_no_artifacts(edgekit: Program, home: Path) -> None:
    done = edgekit("eval", home / "model", "--data", "x.csv", "--runtime", "onnx")
    assert done.returncode == 64
    assert "edgekit export" in done.stderr


def test_a_killed_run_leaves_its_answers_and_no_document(home: Path, tmp_path: Path) -> None:
    rows = [{"text": f"{text} {at}", "label": at % 3} for at in range(60) for text in SENTENCES]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["eval", home / "classifier", "--data", "many.jsonl", "-o", "run.json", "-q"]
    start = [sys.executable, "-m", "edgekit", *map(str, words)]
    running = subprocess.Popen(start, cwd=tmp_path, env=clean_environment())
    kept = tmp_path / ".run.json.answers" / "0.jsonl"
    end = time.monotonic() + 120
    while not (kept.is_file() and kept.stat().st_size > 10_000) and time.monotonic() < end:
        assert running.poll() is None
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "run.json").exists()
    before = kept.read_bytes().rpartition(b"\n")[0].count(b"\n")
    assert 0 < before < len(rows)
    done = subprocess.run(
        start, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["data"]["scored"] == len(rows)
    assert document["contestants"][0]["seconds"] is None  # the whole was never timed
    assert not (tmp_path / ".run.json.answers").exists()


def test_gates_read_metrics_in_any_spelling() -> None:
    assert gates.parsed("--min", "macro F1=0.5") == ("macro F1", 0.5)
    figure = {"metric": "macro F1", "better": 1, "value": 0.6, "change": None}
    document = {"contestants": [{"name": "a", "figures": [figure]}]}
    for name in ("macro F1", "macro-f1", "MACRO_F1"):
        assert gates.judged(document, [f"{name}=0.5"], [])[0]["passed"]
    assert not gates.judged(document, ["macro-f1=0.7"], [])[0]["passed"]
