"""A bundle for several texts at once: each gets the answer that it gets alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import Bundle, evaluate, export
from edgekit.android import project
from edgekit.bundle import goldens
from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.errors import ParityFailed, SpecError, TextRefused, Unsupported
from edgekit.runtime.encode import MASK
from edgekit.tasks import Context
from edgekit.verify import verify
from edgekit_converters.evaluate.ladder import Ladder
from edgekit_converters.graph import attention
from edgekit_converters.request import MOST_TEXTS, check
from tests.support.decoders import decoder
from tests.support.models import LABELS, tiny_bert, tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES

TEXTS = [*SENTENCES[:5], " ".join(SENTENCES[5:9]), "no", SENTENCES[9]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    home = tmp_path_factory.mktemp("batched")
    tiny_bert(home / "model")
    (home / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")

    def made(name: str, **options: Any) -> Path:
        asked: dict[str, Any] = {
            "task": "text-classification",
            "quantize": "none",
            "runtimes": ["onnx"],
            "samples": home / "texts.txt",
        } | options
        return export(asked.pop("model", home / "model"), out=home / name, **asked).path

    return made


@pytest.fixture(scope="module")
def plain(make: Callable[..., Path]) -> Path:
    return make("plain")


@pytest.fixture(scope="module")
def batched(make: Callable[..., Path]) -> Path:
    return make("batched", batch=3)


def scores(answers: list[dict[str, Any]]) -> list[list[float]]:
    return [
        [found["score"] for found in sorted(answer["labels"], key=lambda one: str(one["label"]))]
        for answer in answers
    ]


def test_what_the_bundle_says(batched: Path) -> None:
    with Bundle.open(batched) as bundle:
        manifest = bundle.manifest
    assert [spec.name for spec in manifest.signature.inputs] == [
        "input_ids",
        "token_type_ids",
        MASK,
    ]
    assert manifest.signature.texts == 3
    assert [hop.hop for hop in manifest.quality] == ["exported", "rewritten", "batched", "onnx"]
    assert all(hop.worst_cosine >= 0.99999 for hop in manifest.quality)
    assert manifest.provenance[-1]["config"]["batch"] == 3
    assert "3 texts at once" in (batched / "README.md").read_text(encoding="utf-8")


def test_goldens_are_whole_passes(batched: Path) -> None:
    with Bundle.open(batched) as bundle:
        encoder = bundle._encode()
    kept = goldens.read(batched / "goldens.safetensors")
    assert [golden.text for golden in kept] == TEXTS
    for golden in kept:
        own = encoder.encode(golden.text)["input_ids"]
        first = golden.inputs["input_ids"]
        assert first.shape[0] == 3
        assert int(golden.inputs[MASK][0].sum()) == own.shape[1]
        np.testing.assert_array_equal(first[:1, : own.shape[1]], own)
    (hop,) = verify(batched)
    assert hop.same_artifact is not None
    assert hop.same_artifact >= 0.999999


def test_answers_are_those_of_single_texts(plain: Path, batched: Path) -> None:
    with Bundle.open(plain) as one, Bundle.open(batched) as several:
        for texts in (TEXTS, TEXTS[:1], TEXTS[5:7]):
            wanted, found = one.run(texts), several.run(texts)
            assert [answer["text"] for answer in found] == texts
            np.testing.assert_allclose(scores(found), scores(wanted), atol=1e-5)


def test_texts_before_a_refused_one_are_answered(batched: Path) -> None:
    with Bundle.open(batched) as bundle:
        answers = bundle.answers([*TEXTS[:4], "word " * 500, TEXTS[4]])
        assert [next(answers)["text"] for _ in range(4)] == TEXTS[:4]
        with pytest.raises(TextRefused, match="the model takes"):
            next(answers)


def test_a_corpus_is_scored_alike(plain: Path, batched: Path, tmp_path: Path) -> None:
    rows = [
        {"text": " ".join(SENTENCES[at % 20 :][: 1 + at % 3]), "label": LABELS[at % len(LABELS)]}
        for at in range(31)
    ]
    rows[4]["text"] = "word " * 500
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    one, several = evaluate([plain, batched], data=data)["contestants"]
    assert several["left_out"] == one["left_out"]
    for wanted, found in zip(one["figures"], several["figures"], strict=True):
        assert found["value"] == pytest.approx(wanted["value"], abs=1e-4), wanted["name"]


def test_fewer_samples_than_places() -> None:
    """A user's file of two texts, and a bundle for five at once."""
    spec = TensorSpec(
        name="input_ids",
        dtype="int64",
        dims=(Dim(name="batch", minimum=5, maximum=5), Dim(name="tokens", minimum=2, maximum=9)),
    )
    both = Signature(inputs=(spec, spec.model_copy(update={"name": MASK})), outputs=())
    given = [{"input_ids": np.array([[4, 5, 6]])}, {"input_ids": np.array([[7, 8]])}]
    ladder = Ladder("sentence-similarity", ["one", "two"], given, Context(), [])
    ladder.together(both, 9)
    assert ladder.given(1)["input_ids"].tolist() == [[7, 8, 9], [4, 5, 6], *[[7, 8, 9]] * 3]
    assert ladder.given(1)[MASK].tolist() == [[1, 1, 0], [1, 1, 1], *[[1, 1, 0]] * 3]


def test_a_mask_that_is_ignored_is_stopped(
    make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "padding_mask", lambda *_, **__: None)
    with pytest.raises(ParityFailed, match=r"^batched \(graph\)"):
        make("unmasked", batch=3)


def test_what_has_no_batch(make: Callable[..., Path], batched: Path, tmp_path: Path) -> None:
    words = ("android-arm64", "auto", None, None)
    for texts in (0, MOST_TEXTS + 1):
        text = f"a batch of {texts} texts"
        refused(SpecError, 64, text, partial(check, *words, None, batch=texts))
    refused(Unsupported, 78, "NNAPI takes one text", lambda: check(*words, "nnapi", batch=2))
    refused(
        Unsupported,
        78,
        "answers one text at a time",
        lambda: make("writer", model=decoder(tmp_path / "writer"), task="text-generation", batch=2),
    )
    refused(
        Unsupported,
        78,
        "made for 3 texts at once",
        lambda: project.new(tmp_path / "app", batched, package="a.b", engine="onnx"),
    )


@pytest.mark.slow
def test_integers_in_company(make: Callable[..., Path], tmp_path: Path) -> None:
    made = make(
        "integers",
        model=tiny_sentence_bert(tmp_path / "sentence"),
        task="sentence-similarity",
        quantize="int8",
        runtimes=["executorch"],
        batch=4,
    )
    with Bundle.open(made) as bundle:
        (artifact,) = bundle.manifest.artifacts
        assert artifact.delegation is not None
        assert artifact.delegation.calls == 1
        together = np.array([one["embedding"] for one in bundle.run(TEXTS)])
        alone = np.array([bundle.run([text])[0]["embedding"] for text in TEXTS])
    # Activations are rounded for each token: company changes no more than the order of sums.
    assert ((together * alone).sum(axis=1) >= 0.9999).all()
