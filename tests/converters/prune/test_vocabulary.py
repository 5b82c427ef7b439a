"""Trimmed vocabularies: texts inside them are cut as before and give the same output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from edgekit.errors import SpecError, Unsupported
from edgekit_converters.prune import vocabulary
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.prune.vocabulary import tokenizer_files, trim
from edgekit_converters.source import resolve
from tests.support.families import FAMILIES, write_family
from tests.support.models import tiny_sentence_bert
from tests.support.vocabulary import SENTENCES

USED = list(SENTENCES[:12])  # those in English, German and French
OTHERS = list(SENTENCES[12:])
KINDS = ("WordPiece", "BPE", "Unigram")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    home = tmp_path_factory.mktemp("originals")
    tiny_sentence_bert(home / "WordPiece")
    write_family(home / "BPE", FAMILIES["RoBERTa"])
    write_family(home / "Unigram", FAMILIES["T5 encoder"])
    return {kind: subject(resolve(home / kind), "sentence-similarity") for kind in KINDS}


def trimmed(original: Subject, amount: float) -> trim.Trimmed:
    place = original.loaded.source.folder
    rows = original.model.get_input_embeddings().num_embeddings
    scores = trim.counts(original.loaded.tokenizer, USED, rows)
    kept = trim.chosen(place, tokenizer_files.read(place), scores, amount)
    return trim.trimmed(original, kept)


@pytest.mark.parametrize(("kind", "amount"), [("WordPiece", 0.5), ("BPE", 0.2), ("Unigram", 0.1)])
def test_texts_inside_are_cut_as_before_and_give_the_same_output(
    kind: str, amount: float, originals: dict[str, Subject], tmp_path: Path
) -> None:
    original = originals[kind]
    made = trimmed(original, amount)
    before, after = original.loaded.tokenizer, made.subject.loaded.tokenizer
    inside = [text for text in USED if set(before.encode(text).ids) <= made.places.keys()]
    assert len(inside) > len(USED) // 2
    assert [after.encode(t).tokens for t in inside] == [before.encode(t).tokens for t in inside]
    theirs, ours = original.batches(inside), made.subject.batches(inside)
    with torch.no_grad():
        for old, new in zip(theirs, ours, strict=True):
            want, got = original.rows(original.model, old), original.rows(made.subject.model, new)
            assert float((want - got).abs().max()) < 1e-6
    table = made.subject.model.get_input_embeddings()
    assert table.num_embeddings == after.get_vocab_size() == len(made.places)
    # No text is lost for good: what goes falls into smaller pieces.
    figures = trim.coverage(before, after, made.places, OTHERS)
    assert 0 < figures["coverage"] < 1
    assert figures["unknown after"] <= figures["unknown before"] + 1e-9
    assert figures["longer"] >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_written_files_agree_with_each_other(
    kind: str, originals: dict[str, Subject], tmp_path: Path
) -> None:
    original = originals[kind]
    made = trimmed(original, 0.2)
    shutil.copytree(original.loaded.source.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "vocab.txt").write_text("stale")
    (tmp_path / "spiece.model").write_bytes(b"stale")
    tokenizer_files.write(tmp_path, made.data, made.places)
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    expected = made.subject.loaded.tokenizer
    for text in SENTENCES:
        assert again.encode(text).ids == expected.encode(text).ids
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[:3] == [again.id_to_token(i) for i in range(3)]
    assert not (tmp_path / "spiece.model").exists()
    # Special tokens are still put around texts, under their new ids.
    config = made.subject.model.config
    if config.pad_token_id is not None:
        old = original.model.config.pad_token_id
        before = original.loaded.tokenizer
        assert again.id_to_token(config.pad_token_id) == before.id_to_token(old)
    assert again.encode("a").tokens[-1] == original.loaded.tokenizer.encode("a").tokens[-1]


def test_a_merged_token_keeps_what_it_is_merged_from() -> None:
    model: Any = {
        "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "bc": 5, "lost": 6},
        "merges": ["a b", "ab c", ["b", "c"]],
        "unk_token": None,
    }
    kind = vocabulary.kind({"model": {"type": "BPE"}})
    parts = kind.parts(model)
    assert parts[4] == {0, 1, 2, 3, 4}
    assert parts[6] == set()  # no merges lead there
    made = kind.rewritten(model, {0: 0, 1: 1, 2: 2, 3: 3, 4: 4})
    assert made["merges"] == [["a", "b"], ["ab", "c"]]
    assert kind.basic(model) == {0, 1, 2}


def test_too_few_tokens_to_hold_what_must_stay(originals: dict[str, Subject]) -> None:
    with pytest.raises(SpecError, match="must stay") as refused:
        trimmed(originals["BPE"], 0.9)
    # The amount that the hint names is one that works.
    most = float(refused.value.hint.split()[-1].rstrip("."))
    assert len(trimmed(originals["BPE"], most).places) <= 0.9 * 600


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Unsupported, match="WordLevel tokenizer cannot be trimmed"):
        vocabulary.kind({"model": {"type": "WordLevel"}})


def test_the_same_corpus_gives_the_same_files(originals: dict[str, Subject]) -> None:
    first, second = (trimmed(originals["WordPiece"], 0.5) for _ in range(2))
    assert json.dumps(first.data) == json.dumps(second.data)
