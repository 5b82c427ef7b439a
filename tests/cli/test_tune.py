"""``edgekit tune`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.api.tune import tasks
from tests.conftest import Program
from tests.converters.tune.conftest import reviews, write_rows
from tests.support.models import tiny_bert

FAST = ("--steps", "2", "--patience", "0")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tiny_bert(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", reviews(30))
    return tmp_path


def test_the_result_is_a_table_and_the_next_command(edgekit: Program, home: Path) -> None:
    done = edgekit("tune", "model", "--data", "rows.jsonl", *FAST)
    assert done.returncode == 0, done.stderr
    lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    shown = dict(line for line in lines if len(line) == 2)
    assert shown["task"] == "text-classification"
    assert shown["labels"] == "bad, good, late"
    assert shown["data"].endswith("held out")
    assert shown["trained"].startswith("2 steps")
    assert [float(one) <= 1 for one in shown["accuracy"].split()] == [True, True]
    assert shown["folder:"] == str(home / "model-tuned")
    assert shown["next:"] == f"edgekit export {home / 'model-tuned'}"
    assert "step 2 of 2" in done.stderr
    assert "[6/6] write" in done.stderr
    assert (home / "model-tuned" / "tune.json").is_file()


def test_json_is_the_report(edgekit: Program, home: Path) -> None:
    words = ("--lora", "4", "--column", "text=body", "--labels", "late,good,bad", "--json", "-q")
    rows = [{"body": row["text"], "label": row["label"]} for row in reviews(30)]
    write_rows(home / "rows.jsonl", rows)
    done = edgekit("tune", "model", "--data", "rows.jsonl", *FAST, *words, "-o", "out")
    assert (done.stderr, done.returncode) == ("", 0)
    document = json.loads(done.stdout)
    assert document.pop("folder") == "out"
    assert document == json.loads((home / "out" / "tune.json").read_text())
    assert document["settings"]["lora"] == 4
    assert document["labels"] == ["late", "good", "bad"]
    again = edgekit("tune", "model", "--data", "rows.jsonl", *FAST, *words, "-o", "out")
    assert again.returncode == 73
    assert json.loads(again.stdout)["error"]["code"] == "output-exists"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--data", "no.csv"), 66, "no.csv does not exist"),
        (("--data", "bad.jsonl"), 65, "bad.jsonl, row 2 has an empty text"),
        (("--data", "rows.jsonl", "--column", "text"), 2, "OURS=THEIRS"),
        (("--data", "rows.jsonl", "--held-out", "1"), 2, "--held-out"),
        (("--data", "rows.jsonl", "--task", "poetry"), 64, "no fine-tuning for 'poetry'"),
        ((), 2, "--data"),
    ],
)
def test_wrong_words(
    words: tuple[str, ...], status: int, said: str, edgekit: Program, home: Path
) -> None:
    write_rows(home / "bad.jsonl", [{"text": "a", "label": "b"}, {"text": "", "label": "c"}])
    before = sorted(path.name for path in home.iterdir())
    done = edgekit("tune", "model", *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in home.iterdir()) == before


def test_every_task_has_data_of_its_own() -> None:
    from edgekit_converters.training.data_forms import names

    assert set(tasks()) <= set(names())
    assert len(tasks()) == 6
