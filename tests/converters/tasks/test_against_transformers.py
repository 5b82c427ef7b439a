# ruff: noqa: RUF001 (letters of other alphabets are the point)
"""Answers of an artifact against transformers' own, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import SpecError, TextRefused
from tests.converters.tasks.conftest import Made
from tests.support.refusals import refused

TEXTS = (
    "Please call me when you are at home tonight, it is not urgent.",
    "Книга лежит на столе рядом с окном в большой комнате.",
    "The capital of France is Paris, unbelievably!",
)
PASSAGE = "They have been working on the new bridge for three years. The train leaves at seven."
NEAR: dict[str, Any] = {"rtol": 1e-3, "atol": 2e-5}


def inputs(bundle: Any) -> list[str]:
    return [spec.name for spec in bundle.manifest.signature.inputs]


def eager(this: Made, first: str, second: str | None) -> Any:
    with torch.no_grad():
        return this.model(**this.tokenizer(first, second, return_tensors="pt"))


def best_span(made_of: Any, context: list[bool]) -> tuple[float, float, int, int]:
    """Score of the best pair of tokens, score of no answer, and the two tokens."""
    inside = torch.tensor(context)
    allowed = inside.clone()
    allowed[0] = True
    start, end = (
        logits[0].masked_fill(~allowed, -torch.inf).softmax(0)
        for logits in (made_of.start_logits, made_of.end_logits)
    )
    pairs = torch.outer(start * inside, end * inside).triu().tril(29)
    first, last = divmod(int(pairs.argmax()), len(inside))
    return float(pairs.max()), float(start[0] * end[0]), first, last


@pytest.mark.parametrize("aggregation", ["first", "simple"])
def test_entities(made: Callable[..., Made], aggregation: str) -> None:
    from transformers import pipeline

    this = made("token-classification")
    assert inputs(this.bundle) == ["input_ids"]
    theirs = pipeline(
        "token-classification",
        model=this.model,
        tokenizer=this.tokenizer,
        aggregation_strategy=aggregation,
    )
    count = 0
    for text in TEXTS:
        (answer,) = this.bundle.run([text], aggregation=aggregation)
        want = theirs(text)
        ours = [(e["label"], e["start"], e["end"]) for e in answer["entities"]]
        assert ours == [(e["entity_group"], e["start"], e["end"]) for e in want]
        scores = [e["score"] for e in answer["entities"]]
        np.testing.assert_allclose(scores, [e["score"] for e in want], **NEAR)
        count += len(want)
    assert count > 10


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("template", ["This example is {}.", "Es geht um {}."])
def test_labels_of_your_own(made: Callable[..., Made], multi_label: bool, template: str) -> None:
    from transformers import pipeline

    this = made("zero-shot-classification")
    assert inputs(this.bundle) == ["input_ids", "token_type_ids"]
    theirs = pipeline("zero-shot-classification", model=this.model, tokenizer=this.tokenizer)
    labels = ["music", "travel", "Wetter"]
    for text in TEXTS:
        (answer,) = this.bundle.run(
            [text], labels=labels, template=template, multi_label=multi_label
        )
        want = theirs(text, labels, hypothesis_template=template, multi_label=multi_label)
        assert [entry["label"] for entry in answer["labels"]] == want["labels"]
        scores = [entry["score"] for entry in answer["labels"]]
        np.testing.assert_allclose(scores, want["scores"], **NEAR)


@pytest.mark.parametrize("family", ["BERT", "XLNet"])
def test_choices(made: Callable[..., Made], family: str) -> None:
    this = made("multiple-choice", family)
    choices = ("rises in the east.", "is a large city.", "bark")
    (answer,) = this.bundle.run([TEXTS[0]], choices=choices)
    pairs = [this.tokenizer(TEXTS[0], choice, return_tensors="pt") for choice in choices]
    with torch.no_grad():
        # One at a time: transformers would pad the shorter ones.
        scores = [
            this.model(**{name: tensor[:, None] for name, tensor in pair.items()}).logits
            for pair in pairs
        ]
    want = torch.cat(scores, dim=1).softmax(dim=1)[0]
    found = {entry["choice"]: entry["score"] for entry in answer["choices"]}
    np.testing.assert_allclose([found[choice] for choice in choices], want, **NEAR)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("family", ["BERT", "XLNet", "RoBERTa"])
def test_logits_of_a_pair(made: Callable[..., Made], family: str) -> None:
    """The second text, its token types and the separators are what transformers gives."""
    this = made("question-answering", family)
    types = [] if family == "RoBERTa" else ["token_type_ids"]
    assert inputs(this.bundle) == ["input_ids", *types]
    session, question = this.bundle.session("onnx"), "When does the train leave?"
    (encoded,) = this.bundle._encode().passes(question, PASSAGE)
    want = eager(this, question, PASSAGE)
    found = session.run(encoded.inputs)["spans"][0]
    np.testing.assert_allclose(found[:, 0], want.start_logits[0], atol=2e-5)
    np.testing.assert_allclose(found[:, 1], want.end_logits[0], atol=2e-5)


def test_a_question(made: Callable[..., Made]) -> None:
    this = made("question-answering")
    question = "When does the train leave?"
    (answer,) = this.bundle.run([question], context=PASSAGE, top_k=3)
    encoded = this.tokenizer(question, PASSAGE, return_offsets_mapping=True)
    want = eager(this, question, PASSAGE)
    score, none, first, last = best_span(want, [i == 1 for i in encoded.sequence_ids()])
    assert answer["answers"][0]["score"] == pytest.approx(score, rel=1e-3)
    assert answer["no_answer"] == pytest.approx(none, rel=1e-3)
    # Whole words around the two tokens.
    start = encoded.word_to_chars(encoded.token_to_word(first), sequence_index=1).start
    end = encoded.word_to_chars(encoded.token_to_word(last), sequence_index=1).end
    assert (answer["answers"][0]["start"], answer["answers"][0]["end"]) == (start, end)
    assert answer["answers"][0]["answer"] == PASSAGE[start:end]
    assert len(answer["answers"]) == 3


def test_a_context_beyond_the_limit_is_read_in_windows(made: Callable[..., Made]) -> None:
    this = made("question-answering")
    question, limit = "Who?", this.bundle.manifest.limits.max_length
    long = " ".join([PASSAGE] * 20)
    passes = this.bundle._encode().passes(question, long, windows=True)
    assert len(passes) > 3
    assert all(each.inputs["input_ids"].shape[1] <= limit for each in passes)
    read = set()
    for each in passes:
        places = zip(each.offsets, each.sequences, strict=True)
        read |= {place for (start, end), s in places if s == 1 for place in range(start, end)}
    assert read == {place for place, letter in enumerate(long) if not letter.isspace()}
    (answer,) = this.bundle.run([question], context=long)
    best = answer["answers"][0]
    assert long[best["start"] : best["end"]] == best["answer"]
    room = limit - len(this.tokenizer(question, "")["input_ids"])
    windows = this.tokenizer(
        question,
        long,
        truncation="only_second",
        max_length=limit,
        stride=min(128, room // 2),
        return_overflowing_tokens=True,
    )
    scores = []
    for each, ids, types in zip(
        passes, windows["input_ids"], windows["token_type_ids"], strict=True
    ):
        assert each.inputs["input_ids"].tolist() == [ids]
        with torch.no_grad():
            made_of = this.model(torch.tensor([ids]), token_type_ids=torch.tensor([types]))
        scores.append(best_span(made_of, [sequence == 1 for sequence in each.sequences])[0])
    assert best["score"] == pytest.approx(max(scores), rel=1e-3)


def test_a_question_that_leaves_no_room(made: Callable[..., Made]) -> None:
    this = made("question-answering")
    question = "train " * (this.bundle.manifest.limits.max_length - 8)
    run = this.bundle.run
    refused(TextRefused, 65, "no room", lambda: run([question], context=PASSAGE))
    refused(TextRefused, 65, "empty", lambda: run(["Who?"], context=" \n"))
    refused(SpecError, 64, "needs context", lambda: run(["Who?"]))


def test_a_pair_for_a_classifier(made: Callable[..., Made]) -> None:
    this = made("text-classification")
    for second in (None, PASSAGE):
        (answer,) = this.bundle.run([TEXTS[0]], context=second)
        want = eager(this, TEXTS[0], second).logits[0].softmax(0)
        found = {entry["label"]: entry["score"] for entry in answer["labels"]}
        names = this.model.config.id2label
        np.testing.assert_allclose([found[names[i]] for i in range(3)], want, **NEAR)
    run = this.bundle.run
    refused(SpecError, 64, "takes no choices", lambda: run(["a"], choices=["b", "c"]))
