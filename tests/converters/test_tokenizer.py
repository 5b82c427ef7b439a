"""Tokenizers as the device will see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from edgekit.errors import InputRefused
from edgekit_converters.tokenizer import describe, load_tokenizer, mask_token_id
from tests.android import made_tokenizers
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


@pytest.mark.parametrize("make", made_tokenizers.MAKERS, ids=lambda make: make.__name__)
def test_what_the_core_is_held_to_runs_on_the_device(make: Callable[[], Tokenizer | None]) -> None:
    tokenizer = make()
    if tokenizer is None:
        pytest.skip("sentencepiece is not installed")
    kind, on_device, reason = describe(tokenizer)
    assert on_device, reason
    assert kind in ("WordPiece", "BPE", "Unigram")


def _normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Nmt()])


def _pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.UnicodeScripts()


def _decoder(tokenizer: Tokenizer) -> None:
    tokenizer.decoder = decoders.CTC()


def _model(tokenizer: Tokenizer) -> None:
    tokenizer.model = models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")


def _dropout(tokenizer: Tokenizer) -> None:
    tokenizer.model = models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.1)


def _split(pattern: str) -> Callable[[Tokenizer], None]:
    def change(tokenizer: Tokenizer) -> None:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_normalizer, "the normalizer Nmt"),
        (_pre_tokenizer, "the pre-tokenizer UnicodeScripts"),
        (_decoder, "the decoder CTC"),
        (_model, "the model WordLevel"),
        (_dropout, "dropout"),
        (_split(r"^a|b"), "an anchor"),
        (_split(r"(?<=a)b"), "a group of another kind"),
        (_split(r"(a)\1"), "the escape"),
    ],
)
def test_what_the_core_lacks_is_named(change: Callable[[Tokenizer], None], word: str) -> None:
    tokenizer = wordpiece()
    change(tokenizer)
    _, on_device, reason = describe(tokenizer)
    assert not on_device
    assert word in reason


def test_classes_and_escapes_are_no_anchors() -> None:
    tokenizer = wordpiece()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\r\n$]|\$|\p{L}+(?!\s)"), "isolated")
    assert describe(tokenizer)[1:] == (True, "")


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
