"""What is kept of the original: one thing after another is changed, and the figure follows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from edgekit.runtime import RUNTIMES
from edgekit_converters.compress.fidelity import Reference
from edgekit_converters.prune import job
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.source import resolve
from tests.support import bundles
from tests.support.models import tiny_bert
from tests.support.vocabulary import SENTENCES

TEXTS = SENTENCES[:12]


def changed(folder: Path, to: Path, weight: str, factor: float) -> Path:
    """A copy of a folder with one weight larger or smaller."""
    shutil.copytree(folder, to)
    weights = load_file(to / "model.safetensors")
    weights[weight] = weights[weight] * factor
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


def test_vectors(model: Path, original: Subject, tmp_path: Path) -> None:
    reference = Reference(original, TEXTS)
    assert reference.texts == len(TEXTS)
    same = {"fidelity": pytest.approx(1.0), "cosine": pytest.approx(1.0, abs=1e-6)}
    assert reference.of_original() == same
    assert reference.of_folder(model, None) == same
    name = "encoder.layer.3.output.dense.weight"
    near = reference.of_folder(changed(model, tmp_path / "near", name, 0.8), None)
    far = reference.of_folder(changed(model, tmp_path / "far", name, -1.0), None)
    assert 1 > near["cosine"] > far["cosine"]
    assert 1 > near["fidelity"] > far["fidelity"]


def test_artifacts_are_asked_the_same(tiny_bundles: dict[str, Path], tmp_path: Path) -> None:
    """fp32 artifacts answer as the model that they were made of; another model's do not."""
    found = {}
    for task, runtimes in (("sentence-similarity", RUNTIMES), ("text-classification", ("onnx",))):
        reference = Reference(subject(resolve(bundles.model(task, tmp_path)), task), TEXTS)
        for runtime in runtimes:
            kept = reference.of_artifact(tiny_bundles[task], runtime)
            assert kept is not None
            assert kept["fidelity"] > 0.999
            found[task, runtime] = set(kept)
    assert found["sentence-similarity", "executorch"] == {"fidelity", "cosine"}
    assert found["text-classification", "onnx"] == {"fidelity", "agreement"}
    other = tiny_bert(tmp_path / "other", seed=1)
    reference = Reference(subject(resolve(other), "text-classification"), TEXTS)
    kept = reference.of_artifact(tiny_bundles["text-classification"], "onnx")
    assert kept is not None
    assert kept["fidelity"] < 0.9


def test_texts_in_other_tokens_are_not_compared_one_by_one(tmp_path: Path) -> None:
    """A fill-mask model of fewer tokens has no distribution that fits; it has no figure."""
    whole = bundles.model("fill-mask", tmp_path)
    job.prune(
        whole,
        {"granularity": "vocab", "amount": 0.3, "data": _file(tmp_path), "control": False},
        out=tmp_path / "small",
    )
    reference = Reference(subject(resolve(whole), "fill-mask"), TEXTS)
    assert reference.of_folder(tmp_path / "small", None) == {}


def _file(folder: Path) -> Path:
    path = folder / "texts.txt"
    path.write_text("\n".join(SENTENCES), encoding="utf-8")
    return path
