"""Text to inputs: nothing is cut, padded or guessed in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.bundle.read import load_manifest
from edgekit.errors import BundleCorrupt, TextRefused
from edgekit.runtime.encode import Encoder, encode, unpad
from tests.support.refusals import refused
from tests.support.vocabulary import wordpiece

NAMES = ("input_ids", "token_type_ids", "attention_mask")
BATCH = Dim(name="batch", minimum=1, maximum=1)


def signature(names: tuple[str, ...] = NAMES[:1], least: int = 2, most: int = 64) -> Signature:
    tokens = Dim(name="tokens", minimum=least, maximum=most)
    inputs = [TensorSpec(name=name, dtype="int64", dims=(BATCH, tokens)) for name in names]
    output = TensorSpec(name="out", dtype="float32", dims=(BATCH, tokens, BATCH))
    return Signature(inputs=tuple(inputs), outputs=(output,))


def words(count: int, special: str) -> Tokenizer:
    """A tokenizer of whole words; special tokens by template, as BERT, or none at all."""
    ids = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}
    ids |= {f"w{i}": 4 + i for i in range(count)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special == "template":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    elif special == "bert":
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


@pytest.mark.parametrize("special", ["template", "bert", "none"])
def test_ids(special: str) -> None:
    found = encode(words(9, special), signature(), "w0 w5 nonsense", 64)
    middle = [4, 9, 3]
    assert found["input_ids"].tolist() == [middle if special == "none" else [1, *middle, 2]]
    assert found["input_ids"].dtype == np.int64
    assert list(found) == ["input_ids"]


def test_every_input_of_the_signature_in_its_order() -> None:
    found = encode(wordpiece(), signature(NAMES[::-1]), "The train leaves.", 64)
    assert list(found) == list(NAMES[::-1])
    assert (found["attention_mask"] == 1).all()
    assert (found["token_type_ids"] == 0).all()
    assert len({array.shape for array in found.values()}) == 1


@pytest.mark.parametrize("text", ["", " ", "\n\t \r", "\u3000", "\u00a0"])
def test_blank(text: str) -> None:
    refused(TextRefused, 65, "empty", lambda: encode(wordpiece(), signature(), text, 64))


@pytest.mark.parametrize("special", ["template", "bert"])
def test_exactly_the_limit_and_one_more(special: str) -> None:
    tokenizer = words(9, special)
    exact = " ".join(["w1"] * 8)
    assert encode(tokenizer, signature(), exact, 10)["input_ids"].shape == (1, 10)
    error = refused(
        TextRefused,
        65,
        "the text has 11 tokens, the model takes 10",
        lambda: encode(tokenizer, signature(), exact + " w1", 10),
    )
    assert error.details == {"tokens": 11, "limit": 10}
    assert "w1 w1" in error.message
    assert len(error.message) < 120


@pytest.mark.parametrize("special", ["template", "bert"])
def test_truncation_keeps_the_closing_token(special: str) -> None:
    tokenizer = words(9, special)
    long = " ".join(f"w{i}" for i in range(9))
    found = encode(tokenizer, signature(), long, 6, truncate=True)
    assert found["input_ids"].tolist() == [[1, 4, 5, 6, 7, 2]]
    # It was for this one text only.
    refused(TextRefused, 65, "11 tokens", lambda: encode(tokenizer, signature(), long, 6))
    short = encode(tokenizer, signature(), "w0", 6, truncate=True)
    assert short["input_ids"].tolist() == [[1, 4, 2]]


@pytest.mark.parametrize("pad", [0, 7])
def test_a_fixed_length_is_padded_and_masked(pad: int) -> None:
    fixed = signature(NAMES, 8, 8)
    found = encode(words(9, "bert"), fixed, "w0 w1", 8, pad_id=pad)
    assert found["input_ids"].tolist() == [[1, 4, 5, 2, pad, pad, pad, pad]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert found["token_type_ids"].tolist() == [[0] * 8]
    full = encode(words(9, "bert"), fixed, "w0 " * 6, 8, pad_id=pad)
    assert (full["attention_mask"] == 1).all()


def test_too_short_is_not_padded_without_a_mask() -> None:
    tokenizer = words(9, "none")
    text = "the text has 1 tokens, the model takes 2 at least"
    refused(TextRefused, 65, text, lambda: encode(tokenizer, signature(), "w0", 64))
    refused(
        TextRefused, 65, "0 tokens", lambda: encode(Tokenizer(models.BPE()), signature(), "w0", 64)
    )
    fixed = encode(tokenizer, signature(NAMES, 4, 4), "w0", 4)
    assert fixed["attention_mask"].tolist() == [[1, 0, 0, 0]]


def test_unpad() -> None:
    inputs = encode(words(9, "bert"), signature(NAMES, 8, 8), "w0 w1", 8)
    output = np.arange(8 * 3, dtype=np.float32).reshape(1, 8, 3)
    rows, ids = unpad(output, inputs)
    np.testing.assert_array_equal(rows, output[:, :4])
    assert ids.tolist() == [[1, 4, 5, 2]]
    pooled = np.ones((1, 3), np.float32)
    assert unpad(pooled, inputs)[0].shape == (1, 3)
    plain = encode(words(9, "bert"), signature(), "w0 w1", 8)
    assert unpad(output[:, :4], plain)[0].shape == (1, 4, 3)


def test_the_bundles_own_settings_do_not_cut_or_pad(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    manifest = load_manifest(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = Encoder(folder, manifest)
    assert encoder.encode("The train leaves at seven.")["input_ids"].shape == (1, 8)
    limit = manifest.limits.max_length
    word = "train "
    assert encoder.encode(word * (limit - 2))["input_ids"].shape == (1, limit)
    words_over = f"{limit + 1} tokens, the model takes {limit}"
    refused(TextRefused, 65, words_over, lambda: encoder.encode(word * (limit - 1)))
    assert encoder.encode(word * 999, truncate=True)["input_ids"].shape == (1, limit)


def test_context(tiny_bundles: dict[str, Path]) -> None:
    folder = tiny_bundles["fill-mask"]
    context = Encoder(folder, load_manifest(folder)).context
    assert context.mask_token_id is not None
    assert context.tokens[context.mask_token_id] == "[MASK]"
    folder = tiny_bundles["text-classification"]
    assert Encoder(folder, load_manifest(folder)).context.labels == (
        "negative",
        "neutral",
        "positive",
    )


def test_a_damaged_tokenizer(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    manifest = load_manifest(tiny_bundle)
    refused(BundleCorrupt, 65, "tokenizer.json", lambda: Encoder(tmp_path, manifest))
