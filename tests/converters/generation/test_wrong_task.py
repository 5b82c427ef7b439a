"""A task that a model's weights are not for: refused at once, and the right ones named."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgekit import api
from edgekit.errors import EdgekitError, InputRefused, Unsupported
from edgekit_converters.detect import fitting_tasks, task_of
from tests.converters.generation.seq2seq.models import save
from tests.converters.generation.seq2seq.models import tiny as tiny_answering
from tests.support.decoders import decoder
from tests.support.models import tiny_bert, tiny_sentence_bert
from tests.support.refusals import loaded, refused

ANSWERING = ["feature-extraction", "summarization", "text2text-generation", "translation"]


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("model") / "t5", tiny_answering("t5"))


@pytest.fixture(scope="module")
def continuing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decoder(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.mark.parametrize(
    ("task", "error", "status", "word"),
    [
        ("question-answering", InputRefused, 65, "qa_outputs"),
        ("text-classification", InputRefused, 65, "classification_head"),
        ("zero-shot-classification", InputRefused, 65, "classification_head"),
        ("token-classification", InputRefused, 65, "classifier"),
        ("text-generation", Unsupported, 78, "t5 models have no"),
        ("fill-mask", Unsupported, 78, "t5 models have no"),
        ("multiple-choice", Unsupported, 78, "t5 models have no"),
    ],
)
def test_an_encoder_decoder_says_what_it_is_for(
    answering: Path, tmp_path: Path, task: str, error: type[EdgekitError], status: int, word: str
) -> None:
    job = partial(api.export, answering, out=tmp_path / "made", task=task)
    said = refused(error, status, word, job)
    assert f"These weights are for: {', '.join(ANSWERING)}." in said.hint
    assert ("question and passage in one text" in said.hint) == (task == "question-answering")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["summarization", "translation", "question-answering"])
def test_a_decoder_says_what_it_is_for(continuing: Path, tmp_path: Path, task: str) -> None:
    with pytest.raises(EdgekitError) as caught:
        api.export(continuing, out=tmp_path / "made", task=task)
    assert "These weights are for: feature-extraction, text-generation." in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_tasks_are_those_of_the_class_that_was_saved(tmp_path: Path, answering: Path) -> None:
    def known(folder: Path, auto_class: str = "AutoModel", **changes: Any) -> list[str]:
        config = loaded(folder, auto_class).config
        for name, value in changes.items():
            setattr(config, name, value)
        return fitting_tasks(folder, config)

    head = "AutoModelForSequenceClassification"
    classifier = tiny_bert(tmp_path / "bert", head=head)
    assert known(classifier, head) == ["feature-extraction", "text-classification"]
    # The same head is a model of inference where its labels say so.
    inference = {0: "contradiction", 1: "neutral", 2: "entailment"}
    assert "zero-shot-classification" in known(classifier, head, id2label=inference)
    sentences = tiny_sentence_bert(tmp_path / "sentences")
    assert known(sentences) == ["feature-extraction", "sentence-similarity"]
    assert known(answering, "AutoModelForSeq2SeqLM") == ANSWERING
    assert known(sentences, architectures=None) == ["feature-extraction", "sentence-similarity"]
    assert known(sentences, architectures=["OfNobody"])[0] == "feature-extraction"


@pytest.mark.parametrize(
    "name", ["T5", "Bart", "MBart", "Pegasus", "M2M100", "LED", "BlenderbotSmall"]
)
def test_what_writes_answers_is_known_by_its_class(tmp_path: Path, name: str) -> None:
    config = {"architectures": [f"{name}ForConditionalGeneration"]}
    assert task_of(tmp_path, config) == "text2text-generation"
