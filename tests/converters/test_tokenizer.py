"""Tokenizers as the device will see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgekit.errors import InputRefused
from edgekit_converters.tokenizer import describe, load_tokenizer, mask_token_id
from tests.support.models import write_json
from tests.support.refusals import refused
from tests.support.vocabulary import SPECIALS, save_wordpiece, wordpiece


def test_truncation_and_padding_are_taken_off(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert len(loaded.encode("the train").ids) == 4
    assert len(loaded.encode("the train " * 50).ids) == 102


def test_missing_tokenizer(tmp_path: Path) -> None:
    error = refused(InputRefused, 65, "no tokenizer.json", lambda: load_tokenizer(tmp_path))
    assert "save_pretrained" in error.hint


def test_wordpiece_runs_on_the_device() -> None:
    assert describe(wordpiece()) == ("WordPiece", True, "")


def _prefix(tokenizer: Tokenizer) -> None:
    tokenizer.model = models.WordPiece(
        {"[UNK]": 0, "a": 1}, unk_token="[UNK]", continuing_subword_prefix="@@"
    )


def _normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFC()


def _pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()


def _post_processor(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.ByteLevel()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_prefix, "##"),
        (_normalizer, "NFC"),
        (_pre_tokenizer, "ByteLevel"),
        (_post_processor, "template"),
    ],
)
def test_wordpiece_that_differs_from_bert(change: Callable[[Tokenizer], None], word: str) -> None:
    tokenizer = wordpiece()
    change(tokenizer)
    kind, on_device, reason = describe(tokenizer)
    assert (kind, on_device) == ("WordPiece", False)
    assert word in reason


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]), "BPE"),
        (models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0), "Unigram"),
        (models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"), "WordLevel"),
    ],
)
def test_other_kinds(model: models.Model, kind: str) -> None:
    found, on_device, reason = describe(Tokenizer(model))
    assert (found, on_device) == (kind, False)
    assert kind in reason


def test_mask_token(tmp_path: Path) -> None:
    tokenizer = save_wordpiece(tmp_path)
    expected = tokenizer.token_to_id(SPECIALS["mask"])
    assert mask_token_id(tmp_path, tokenizer) is None
    write_json(tmp_path / "special_tokens_map.json", {"mask_token": SPECIALS["mask"]})
    assert mask_token_id(tmp_path, tokenizer) == expected
    write_json(tmp_path / "special_tokens_map.json", {"mask_token": "[NO SUCH TOKEN]"})
    assert mask_token_id(tmp_path, tokenizer) is None
    config = {"mask_token": {"content": SPECIALS["mask"], "lstrip": True}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert mask_token_id(tmp_path, tokenizer) == expected
