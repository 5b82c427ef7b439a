"""The whole of a tuning: what is written beside the weights, LoRA, kills, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from edgekit import export
from edgekit.errors import (
    CannotWrite,
    CheckFailed,
    InputRefused,
    OutputExists,
    SpecError,
    TemporaryFailure,
    Unsupported,
    WeightsCorrupt,
)
from edgekit_converters.tune.options import options_from
from edgekit_converters.tune.resuming import checkpoint_folder
from tests.conftest import clean_environment
from tests.converters.tune.conftest import THINGS, Tune, reviews, weights, write_rows
from tests.support.models import edit_json, tiny_bert, tiny_sentence_bert
from tests.support.refusals import refused

README = "---\nlicense: apache-2.0\n---\n# Base\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tiny_bert(tmp_path / "model", labels=("bad", "good", "late"))
    (folder / "README.md").write_text(README)
    return folder


def test_card_report_and_provenance(model: Path, tuned: Tune) -> None:
    (model / "provenance.json").write_text('[{"stage": "prune"}]')
    made = tuned(model, reviews(), steps=2)
    card = (made.path / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nbase_model: model\n")
    assert made.report["data"]["sha256"][:16] in card
    assert f"| accuracy | {made.report['metrics']['before']['accuracy']:.4f} |" in card
    assert "Labels: bad, good, late" in card
    assert json.loads((made.path / "tune.json").read_text()) == made.report
    first, second = json.loads((made.path / "provenance.json").read_text())
    assert first == {"stage": "prune"}
    assert (second["stage"], second["config"]["seed"]) == ("tune", 0)
    assert second["input_sha256"] == made.report["base_model"]["weights_sha256"]
    for path in made.path.rglob("*.json"):
        assert str(model.parent) not in path.read_text(), path.name
    assert (made.path / "model.safetensors").stat().st_mode & 0o444 == 0o444
    assert sorted(path.name for path in made.path.parent.iterdir() if path.name[0] == ".") == []


def test_the_input_stays_as_it_was_and_equal_runs_are_equal(model: Path, tuned: Tune) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    first = tuned(model, reviews(), steps=3)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    files = {path.name: path.read_bytes() for path in first.path.iterdir()}
    again = tuned(model, reviews(), steps=3, out=first.path, force=True)
    assert {path.name: path.read_bytes() for path in again.path.iterdir()} == files
    other = tuned(model, reviews(), steps=3, out=first.path, force=True, seed=1)
    assert (other.path / "model.safetensors").read_bytes() != files["model.safetensors"]


def test_lora_is_merged(model: Path, tuned: Tune) -> None:
    base = weights(model)
    made = tuned(model, reviews(150), lora=8, steps=40, batch=16, learning_rate=5e-3)
    after = weights(made.path)
    assert after.keys() == base.keys()
    changed = {name for name in base if not torch.equal(base[name], after[name])}
    # The weights of linear layers, and the head.
    body = {name for name in changed if not name.startswith("classifier")}
    assert body
    assert all(name.endswith(".weight") and "embeddings" not in name for name in body)
    assert "LayerNorm" not in " ".join(body)
    assert (
        made.report["metrics"]["after"]["accuracy"] > made.report["metrics"]["before"]["accuracy"]
    )
    assert made.report["settings"]["lora"] == 8


def test_lora_trains_a_new_head(tmp_path: Path, tuned: Tune) -> None:
    made = tuned(tiny_sentence_bert(tmp_path / "model"), reviews(), lora=4, steps=3)
    assert made.report["new_head"] == ["classifier.bias", "classifier.weight"]
    assert bool(weights(made.path)["classifier.bias"].abs().sum() > 0)


def test_known_labels_keep_their_order_and_others_make_a_new_head(
    tmp_path: Path, tuned: Tune
) -> None:
    model = tiny_bert(tmp_path / "model", labels=("late", "good", "other", "bad"))
    made = tuned(model, reviews(), steps=1)
    assert made.report["labels"] == ["late", "good", "other", "bad"]
    assert made.report["new_head"] == []
    rows = [{**row, "label": row["label"].upper()} for row in reviews()]
    made = tuned(model, rows, steps=1, out=tmp_path / "new")
    assert made.report["labels"] == ["BAD", "GOOD", "LATE"]
    assert made.report["new_head"] == ["classifier.bias", "classifier.weight"]


def test_a_file_to_measure_on(model: Path, tuned: Tune, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "held.jsonl", reviews(12, seed=1))
    made = tuned(model, reviews(), steps=2, validation=path)
    assert made.report["data"]["train_rows"] == 60
    assert made.report["data"]["held_out_rows"] == 12
    write_rows(path, [*reviews(12, seed=1), {"text": "x", "label": "new"}])
    job = lambda: tuned(model, reviews(), validation=path, out=tmp_path / "b")  # noqa: E731
    refused(InputRefused, 65, "held.jsonl, row 13 has the label 'new'", job)


def test_training_stops_when_it_gets_no_better(model: Path, tuned: Tune) -> None:
    rows = [{**row, "label": label} for row in reviews(40) for label in ("bad", "good")]
    made = tuned(model, rows[:60], steps=100, patience=1, learning_rate=1e-2)
    assert made.report["trained"]["best_step"] < made.report["trained"]["steps"] < 100


def test_what_is_refused_leaves_nothing(model: Path, tuned: Tune, tmp_path: Path) -> None:
    def left() -> list[str]:
        return sorted(path.name for path in tmp_path.iterdir() if "cache" not in path.name)

    rows = reviews()
    tuned_is_there = [*left(), "rows.jsonl"]
    cases: list[tuple[Any, int, str, dict[str, Any]]] = [
        (SpecError, 64, "no fine-tuning for 'poetry'", {"task": "poetry"}),
        (SpecError, 64, "both --epochs and --steps", {"epochs": 1}),
        (SpecError, 64, "LoRA of rank 0", {"lora": 0}),
        (SpecError, 64, "a maximum length of 9999", {"max_length": 9999}),
        (SpecError, 64, "does not divide", {"batch": 6, "accumulate": 4}),
        (SpecError, 64, "a learning rate of -1", {"learning_rate": -1.0}),
        (SpecError, 64, "unknown option 'epoch'", {"epoch": 3}),
        (SpecError, 64, "a seed of -1", {"seed": -1}),
        (InputRefused, 65, "the label 'bad', which is not of", {"labels": ["good", "late"]}),
        (Unsupported, 78, "AutoModelForSeq2SeqLM", {"task": "text2text-generation"}),
    ]
    for error, status, word, options in cases:
        data = (
            rows if "task" not in options else [{"source": "a", "target": str(n)} for n in THINGS]
        )
        refused(error, status, word, lambda o=options, d=data: tuned(model, d, **o))
        assert [name for name in left() if not name.startswith(".tuned.training")] == sorted(
            tuned_is_there
        ), word
    refused(SpecError, 64, "fit no task: a", lambda: tuned(model, [{"a": 1}, {"a": 2}]))
    both = [{"source": "a", "target": "b", "text": "c", "label": "d"}] * 2
    refused(SpecError, 64, "fit more than one task", lambda: tuned(model, both))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    refused(OutputExists, 73, "already exists", lambda: tuned(model, rows, out=tmp_path / "other"))
    refused(
        CannotWrite,
        73,
        "holds no tune.json",
        lambda: tuned(model, rows, out=tmp_path / "other", force=True),
    )


def test_a_body_that_is_not_whole_is_refused(model: Path, tuned: Tune) -> None:
    edit_json(model / "config.json", num_hidden_layers=3)
    refused(InputRefused, 65, "the weights lack", lambda: tuned(model, reviews()))
    edit_json(model / "config.json", num_hidden_layers=2, intermediate_size=96)
    refused(WeightsCorrupt, 65, "config.json wants", lambda: tuned(model, reviews()))


def test_a_loss_that_is_no_number(model: Path, tuned: Tune, tmp_path: Path) -> None:
    rows = [{"text": row["text"], "label": 1e38 * (-1) ** n} for n, row in enumerate(reviews())]
    error = refused(
        CheckFailed, 1, "no number any more at step", lambda: tuned(model, rows, kind="regression")
    )
    assert error.details["step"] >= 1
    assert not (tmp_path / "tuned").exists()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with checkpoint_folder(tmp_path / "out", {"seed": 0}) as place:
        (place / "checkpoint-1").mkdir()

        def second() -> None:
            with checkpoint_folder(tmp_path / "out", {"seed": 0}):
                pass

        refused(TemporaryFailure, 75, "another run is training", second)
        assert (place / "checkpoint-1").is_dir()
    assert not place.exists()


def test_another_request_starts_anew(tmp_path: Path) -> None:
    def killed(request: dict[str, Any]) -> bool:
        """Whether what a killed run left was found by the next one with this request."""
        found: list[bool] = []

        def run() -> None:
            with checkpoint_folder(tmp_path / "out", request) as place:
                found.append((place / "checkpoint-1").is_dir())
                (place / "checkpoint-1").mkdir(exist_ok=True)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run()
        return found[0]

    assert [killed({"seed": 0}), killed({"seed": 0}), killed({"seed": 1})] == [False, True, False]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("lora", [None, 4])
def test_a_killed_run_goes_on_to_the_same_weights(
    lora: int | None, model: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", reviews())
    words = ["tune", model, "--data", data, "--steps", "20", "--patience", "0", "--seed", "5"]
    words += ["--lora", str(lora)] if lora else []

    def start(out: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, words), "-o", tmp_path / out],
            env=clean_environment(OMP_NUM_THREADS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    whole = start("whole")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    killed = start("killed")
    place = tmp_path / ".killed.training" / "run"
    while not list(place.glob("checkpoint-*/complete")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed").exists()
    again = start("killed")
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    assert "going on from step" in told
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".killed")]


@pytest.mark.slow
@pytest.mark.long
def test_a_tuned_folder_is_exported_and_answers_as_it_was_taught(model: Path, tuned: Tune) -> None:
    made = tuned(model, reviews(150), steps=40, batch=16, learning_rate=1e-3)
    bundle = export(made.path, out=made.path.parent / "b", runtimes=["onnx"], quantize="none")
    assert bundle.manifest.labels == ("bad", "good", "late")
    assert [stage["stage"] for stage in bundle.manifest.provenance] == ["tune", "export"]
    (answer,) = bundle.run(["the guitar is terrible dog"])
    assert answer["labels"][0]["label"] == "bad", answer
    bundle.close()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("task", "head", "row"),
    [
        (
            "token-classification",
            "AutoModelForTokenClassification",
            {"tokens": ["anna", "sings", "{}"], "labels": ["B-PER", "O", "O"]},
        ),
        (
            "question-answering",
            "AutoModelForQuestionAnswering",
            {"question": "who?", "context": "anna sings {}", "answer": "anna"},
        ),
    ],
)
def test_other_heads_are_exported(
    task: str, head: str, row: dict[str, Any], tmp_path: Path, tuned: Tune
) -> None:
    rows = [json.loads(json.dumps(row).replace("{}", thing)) for thing in THINGS]
    made = tuned(tiny_bert(tmp_path / "model", head=head), rows, steps=2)
    bundle = export(made.path, out=tmp_path / "b", runtimes=["onnx"], quantize="none")
    assert bundle.manifest.task == task == made.report["task"]
    assert (bundle.manifest.labels or ()) == tuple(made.report["labels"])
    assert bundle.manifest.certified
    bundle.close()


def test_options_have_their_types() -> None:
    found = options_from({"data": "a.csv", "labels": ["a"], "validation": "b.csv", "steps": None})
    assert (found.data, found.labels, found.validation) == ((Path("a.csv"),), ("a",), Path("b.csv"))
    refused(SpecError, 64, "no data is given", lambda: options_from({}))
    refused(SpecError, 64, "0 epochs", lambda: options_from({"data": "a.csv", "epochs": 0}))
