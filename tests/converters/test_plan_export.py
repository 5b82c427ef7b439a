"""A quantized folder, exported: its plan is followed to the integer, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import edgekit
from edgekit.errors import InputRefused, SpecError, Unsupported
from edgekit_converters.quantize import folder as plans
from edgekit_converters.quantize.executorch_writer import packed
from edgekit_converters.weights import weights_sha256
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    (folder / "texts.txt").write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    tiny_sentence_bert(folder / "model")
    return folder


def quantize(home: Path, name: str, **options: Any) -> Path:
    asked: dict[str, Any] = {"data": home / "texts.txt", "samples": home / "texts.txt"} | options
    return edgekit.quantize(home / "model", out=home / name, **asked).path


@pytest.fixture(scope="module")
def planned(home: Path) -> Path:
    return quantize(home, "planned", scheme="int8-int4")


@pytest.mark.slow
def test_the_artifacts_hold_the_plans_integers(planned: Path, tmp_path: Path) -> None:
    bundle = edgekit.export(planned, out=tmp_path / "bundle", samples=planned.parent / "texts.txt")
    assert bundle.manifest.certified
    assert {artifact.scheme for artifact in bundle.manifest.artifacts} == {"int8-int4"}
    stages = [stage["stage"] for stage in bundle.manifest.provenance]
    assert stages == ["quantize", "export"]
    found = plans.load(planned, weights_sha256([planned / "model.safetensors"]))
    assert found is not None
    decisions, _ = found
    data = (bundle.path / "model.pte").read_bytes()
    tables = [row.tensor for row in decisions.rows if row.kind == "table" and row.bits == 4]
    assert tables
    for name in tables:
        grid = decisions.grids[name]
        assert packed(grid.values, 4).numpy().tobytes() in data
        assert grid.halves is not None
        assert grid.halves.numpy().tobytes() in data
    assert bundle.ledger()["ledger"] == [row.record() for row in decisions.rows]


def test_a_scheme_beside_a_plan(planned: Path, tmp_path: Path) -> None:
    job = lambda: edgekit.export(planned, out=tmp_path / "b", quantize="int8")  # noqa: E731
    assert "--quantize" in refused(SpecError, 64, "a quantization plan of its own", job).hint


def test_a_plan_for_another_task(planned: Path, tmp_path: Path) -> None:
    job = lambda: edgekit.export(  # noqa: E731
        planned, out=tmp_path / "b", task="feature-extraction"
    )
    refused(SpecError, 64, "sentence-similarity", job)


def test_bits_that_a_runtime_has_no_kernel_for(home: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "two.toml"
    recipe.write_text('[[tensor]]\nmatch = "*word_embeddings*"\nbits = 2\n', encoding="utf-8")
    two = quantize(home, "two-bits", recipe=recipe)
    job = lambda: edgekit.export(two, out=tmp_path / "b", runtimes=["onnx"])  # noqa: E731
    refused(Unsupported, 78, "2-bit", job)


def test_a_plan_beside_other_weights(planned: Path, home: Path, tmp_path: Path) -> None:
    import shutil

    changed = tmp_path / "changed"
    shutil.copytree(planned, changed)
    tiny_sentence_bert(tmp_path / "other", seed=9)
    shutil.copy(tmp_path / "other" / "model.safetensors", changed / "model.safetensors")
    refused(InputRefused, 65, "weights", lambda: edgekit.export(changed, out=tmp_path / "b"))


def test_trained_for_its_integers(home: Path) -> None:
    trained = quantize(home, "trained", scheme="int8", qat=3)
    again = quantize(home, "trained-again", scheme="int8", qat=3)
    found, same = (
        plans.load(folder, weights_sha256([folder / "model.safetensors"]))
        for folder in (trained, again)
    )
    assert found is not None
    assert same is not None
    assert found[1].rounding == "qat 3 steps"
    assert not found[0].factors
    for name, grid in found[0].grids.items():
        assert torch.equal(grid.values, same[0].grids[name].values)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"qat": 0, "scheme": "int8"}, "0 steps"),
        ({"qat": 5, "scheme": "none"}, "none"),
        ({"qat": 5, "scheme": "int8", "rounding": "gptq"}, "--rounding"),
    ],
)
def test_training_that_makes_no_sense(home: Path, options: dict[str, Any], word: str) -> None:
    refused(SpecError, 64, word, lambda: quantize(home, "nothing", **options))
