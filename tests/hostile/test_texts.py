"""Texts from strangers: each is answered with finite numbers, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit import Bundle
from edgekit.errors import TextRefused
from tests.conftest import Program
from tests.support.refusals import refused

ANSWERED = {
    "one letter": "a",
    "control characters": "a\0b\x1b[2J\x07c",
    "only control characters": "\0\x01\x02",
    "zero width": "\u200b\u200d\ufeff",
    "right to left override": "\u202eabc\u202c",
    "many accents": "e" + "\u0301" * 200,
    "emoji and flags": "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "outside the vocabulary": "𓀀𓀁𓀂 ᚠᚢᚦ",
    "one endless word": "x" * 5000,
    "noncharacters": "\uffff\ufffe\U0010ffff",
    "looks like markup": "<script>[CLS] [SEP] [PAD] [UNK]</script>",
    "line ends": "a\r\nb\u2028c\x0bd",
}


@pytest.mark.parametrize("kind", ANSWERED)
def test_answered(tiny_bundle: Path, kind: str) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        (answer,) = bundle.run([ANSWERED[kind]], runtime="onnx")
    vector = np.array(answer["embedding"])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4)
    assert answer["text"] == ANSWERED[kind]


REFUSED = {
    "nothing": ("", "empty"),
    "blanks": (" \t\n\u3000", "empty"),
    "a surrogate": ("abc\udcff", "surrogate at character 3"),
    "too long": ("The train leaves. " * 40, "162 tokens, the model takes 64"),
    "a book": ("train " * 200_000, "200002 tokens, the model takes 64"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(tiny_bundle: Path, kind: str) -> None:
    text, word = REFUSED[kind]
    with Bundle.open(tiny_bundle) as bundle:
        error = refused(TextRefused, 65, word, lambda: bundle.run([text], runtime="onnx"))
    assert len(error.message) < 200


@pytest.mark.parametrize("kind", ["nothing", "too long"])
def test_refused_by_the_program(edgekit: Program, tiny_bundle: Path, kind: str) -> None:
    text, word = REFUSED[kind]
    done = edgekit("run", tiny_bundle, "--runtime", "onnx", "--", text)
    assert (done.returncode, done.stdout) == (65, "")
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "hint:" in done.stderr


def test_special_tokens_in_a_text_are_tokens(tiny_bundles: dict[str, Path]) -> None:
    with Bundle.open(tiny_bundles["fill-mask"]) as bundle:
        (answer,) = bundle.run(["[MASK] [MASK] [MASK]"])
    assert len(answer["masks"]) == 3
    json.dumps(answer, allow_nan=False)
