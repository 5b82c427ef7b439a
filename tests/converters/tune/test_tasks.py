"""Each task is learned by a small model, and what is written is an ordinary folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, T5Config

from edgekit_converters.tasks import head_module
from edgekit_converters.training.data_tokens import transformers_tokenizer
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import IGNORED, Coding, tune_task
from tests.converters.tune.conftest import THINGS, Tune, reviews
from tests.support.models import tiny_bert, tiny_distilbert, tiny_sentence_bert, write_model
from tests.support.refusals import loaded

SURE = {"steps": 40, "batch": 16, "learning_rate": 1e-3}


def test_one_class_of_several(tuned: Tune, tmp_path: Path) -> None:
    made = tuned(tiny_bert(tmp_path / "model"), reviews(150), **SURE)
    report = made.report
    assert report["task"] == "text-classification"
    assert report["labels"] == ["bad", "good", "late"]
    assert (
        report["new_head"] == ["classifier.bias", "classifier.weight"] or report["new_head"] == []
    )
    assert report["metrics"]["after"]["accuracy"] > report["metrics"]["before"]["accuracy"]
    assert report["metrics"]["after"]["accuracy"] > 0.8
    model = AutoModelForSequenceClassification.from_pretrained(made.path)
    assert model.config.id2label == {0: "bad", 1: "good", 2: "late"}
    assert model.config.problem_type == "single_label_classification"


def test_several_classes_at_once(tuned: Tune, tmp_path: Path) -> None:
    rows = [
        {"text": f"{one} {other}", "label": sorted({one, other} & {"book", "dog"})}
        for one in THINGS
        for other in THINGS
    ]
    made = tuned(tiny_distilbert(tmp_path / "model"), rows, steps=50, batch=16, held_out=0.2)
    assert made.report["data"]["kind"] == "multi"
    assert json.loads((made.path / "config.json").read_text())["problem_type"].startswith("multi")
    before, after = made.report["metrics"]["before"], made.report["metrics"]["after"]
    assert after["micro_f1"] > max(0.7, before["micro_f1"])


def test_a_number(tuned: Tune, tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [
        {"text": " ".join(["good"] * n + ["bad"] * (6 - n) + [draw.choice(THINGS)]), "label": n / 6}
        for n in (draw.randint(0, 6) for _ in range(60))
    ]
    made = tuned(tiny_bert(tmp_path / "model"), rows, steps=40)
    assert made.report["metrics"]["after"]["spearman"] > 0.7
    assert made.report["labels"] == []
    assert loaded(made.path).config.num_labels == 1


def entities(count: int = 60) -> list[dict[str, Any]]:
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        words = [draw.choice(("anna", "rome", "sings", "in", "the", "garden")) for _ in range(5)]
        names = {"anna": "B-PER", "rome": "B-LOC"}
        rows.append({"tokens": words, "labels": [names.get(word, "O") for word in words]})
    return rows


def test_words(tuned: Tune, tmp_path: Path) -> None:
    model = tiny_bert(tmp_path / "model", head="AutoModelForTokenClassification")
    made = tuned(model, entities())
    assert made.report["labels"] == ["O", "B-LOC", "B-PER"]
    assert made.report["metrics"]["after"]["f1"] > 0.9
    assert loaded(made.path, "AutoModelForTokenClassification").config.id2label[0] == "O"


def test_labels_stand_at_the_first_token_of_each_word(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model", head="AutoModelForTokenClassification")
    task = tune_task("token-classification")
    config = loaded(folder, "AutoModelForTokenClassification").config
    config.label2id = {"O": 0, "B-PER": 1}
    tokenizer = transformers_tokenizer(folder)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    coding = Coding(tokenizer, folder, config, "tokens", 64, ("input_ids", "attention_mask"))
    words = ["xylophonists", "sing", "é?", "wonderful"]
    names = ["B-PER", "O", "B-PER", "O"]
    made = task.encoded({"tokens": [words], "labels": [names]}, coding)
    (ids,), (labels,) = made["input_ids"], made["labels"]
    # Each word alone has as many tokens as its label has places, of which one is told.
    expected = [IGNORED]
    for word, name in zip(words, names, strict=True):
        pieces = len(tokenizer(word, add_special_tokens=False)["input_ids"])
        expected += [config.label2id[name]] + [IGNORED] * (pieces - 1)
    assert labels == [*expected, IGNORED]
    assert len(labels) == len(ids)


def test_an_answer_in_a_context(tuned: Tune, tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = []
    for _ in range(80):
        thing = draw.choice(THINGS)
        hour = draw.choice(("seven", "one", "three"))
        context = f"the {thing} in the morning leaves at {hour} from the city"
        start = context.index(hour)
        answers = {"text": [hour], "answer_start": [start]}
        rows.append({"question": "when is it?", "context": context, "answers": answers})
    rows += [
        {"question": "when is it?", "context": f"the {thing} is bad {n}", "answers": []}
        for n, thing in enumerate(THINGS)
    ]
    model = tiny_bert(tmp_path / "model", head="AutoModelForQuestionAnswering")
    made = tuned(model, rows, steps=60, max_length=48)
    assert made.report["metrics"]["after"]["exact"] > 0.8
    assert made.report["metrics"]["after"]["f1"] >= made.report["metrics"]["after"]["exact"]


@pytest.mark.parametrize("kind", ["pairs", "triplets", "scored"])
def test_vectors(kind: str, tuned: Tune, tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = []
    for _ in range(90):
        one, other = draw.sample(sorted({row["label"] for row in reviews()}), 2)
        first, second, third = (
            draw.choice([row["text"] for row in reviews() if row["label"] == label])
            for label in (one, one, other)
        )
        rows.append(
            {
                "pairs": {"anchor": f"the {first}", "positive": first},
                "triplets": {"anchor": first, "positive": second, "negative": third},
                "scored": {"text_a": first, "text_b": third, "score": 0.0}
                if draw.random() < 0.5
                else {"text_a": first, "text_b": second, "score": 1.0},
            }[kind]
        )
    made = tuned(tiny_sentence_bert(tmp_path / "model"), rows, learning_rate=1e-3, held_out=0.3)
    before, after = made.report["metrics"]["before"], made.report["metrics"]["after"]
    leading = next(iter(after))
    assert after[leading] >= before[leading]
    if kind != "pairs":
        assert after[{"triplets": "triplet_accuracy", "scored": "spearman"}[kind]] > 0.7
    # Pooling is what it was.
    for name in ("modules.json", "1_Pooling/config.json"):
        assert (made.path / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_an_embedder_without_pooling_files_gets_them(tuned: Tune, tmp_path: Path) -> None:
    from edgekit_converters.detect import sentence_pooling, task_of

    rows = [{"text_a": f"a {word}", "text_b": f"the {word}"} for word in THINGS]
    model = tiny_bert(tmp_path / "model", head="AutoModel")
    made = tuned(model, rows, steps=2, max_length=32)
    assert task_of(made.path, {}) == "sentence-similarity"
    pooling = sentence_pooling(made.path)
    assert (pooling.mode, pooling.normalize, pooling.max_length) == ("mean", False, 32)


def test_a_classifier_from_an_embedder_is_a_classifier(tuned: Tune, tmp_path: Path) -> None:
    from edgekit_converters.detect import task_of

    made = tuned(tiny_sentence_bert(tmp_path / "model"), reviews(), steps=2)
    assert made.report["new_head"] == ["classifier.bias", "classifier.weight"]
    assert not (made.path / "modules.json").exists()
    config = json.loads((made.path / "config.json").read_text())
    assert task_of(made.path, config) == "text-classification"
    assert (
        head_module("text-classification").AUTO_CLASS
        == tasks.tune_task(made.report["task"]).AUTO_CLASS
    )


def tiny_t5(folder: Path) -> Path:
    sizes = {
        "d_model": 64,
        "d_ff": 128,
        "d_kv": 32,
        "num_layers": 2,
        "num_heads": 2,
        "decoder_start_token_id": 0,
        "eos_token_id": 3,
        "max_position_embeddings": 64,
    }
    write_model(folder, T5Config, sizes, "AutoModelForSeq2SeqLM")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": "[SEP]"}))
    return folder


def test_a_sequence_to_a_sequence(tuned: Tune, tmp_path: Path) -> None:
    rows = [{"source": f"say {one} {other}", "target": one} for one in THINGS for other in THINGS]
    made = tuned(tiny_t5(tmp_path / "model"), rows, steps=60, learning_rate=1e-2)
    before, after = made.report["metrics"]["before"], made.report["metrics"]["after"]
    assert made.report["task"] == "text2text-generation"
    assert after["perplexity"] < before["perplexity"] / 4
    assert after["token_accuracy"] > before["token_accuracy"]
    assert 0 <= after["exact"] <= 1
    loaded(made.path, "AutoModelForSeq2SeqLM")
    assert torch.isfinite(torch.tensor(list(after.values()))).all()
