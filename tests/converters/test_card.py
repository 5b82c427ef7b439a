"""The model card and the manifest's facts, from real bundles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from edgekit.bundle.manifest import Manifest
from edgekit.bundle.read import load_manifest
from edgekit_converters import card, describe


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def test_the_bundles_own_card(tiny_bundle: Path, manifest: Manifest) -> None:
    text = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    assert text == card.render(manifest, "edgekit's built-in sample file", notes_of(tiny_bundle))
    front = yaml.safe_load(text.split("---")[1])
    assert front["base_model"] == manifest.base_model.id
    assert front["pipeline_tag"] == "sentence-similarity"
    for artifact in manifest.artifacts:
        line = next(line for line in text.splitlines() if line.startswith(f"| {artifact.file} "))
        assert f"{artifact.bytes / 1e6:.1f} MB" in line
        assert f"{100 * artifact.bytes / artifact.fp32_bytes:.1f} %" in line
    for hop in manifest.quality:
        assert f"| {hop.hop} | {hop.worst_cosine} | {hop.mean_cosine} |" in text
    assert "Nothing here was measured on a phone." in text
    assert manifest.base_model.weights_sha256 in text
    assert "Batch 1, 2 to 64 tokens, no padding." in text
    assert "{{" not in text


def notes_of(folder: Path) -> tuple[str, ...]:
    import json

    return tuple(json.loads((folder / "report.json").read_text())["notes"])


def test_tables_are_whole(manifest: Manifest) -> None:
    text = card.render(manifest, "here", ("a note",))
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert text.rstrip().endswith("- a note")


def test_not_certified(manifest: Manifest) -> None:
    kept = manifest.model_copy(update={"certified": False, "licence": "mit"})
    text = card.render(kept, "here", ())
    assert "> **Not certified.**" in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"
    assert "Not certified" not in card.render(manifest, "here", ())
    assert "not stated" in card.render(manifest, "here", ())
    assert "not stated" not in text


def test_toolchain() -> None:
    found = describe.toolchain()
    assert {"python", "edgekit", "torch", "executorch", "onnx", "onnxruntime"} <= set(found)
    import onnxruntime
    import torch

    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found["onnxruntime"] == onnxruntime.__version__


def test_unpadded_drops_the_mask_and_frees_the_length() -> None:
    from tests.runtime.test_encode import NAMES, signature

    found = describe.unpadded(signature(NAMES, 24, 24))
    assert [spec.name for spec in found.inputs] == ["input_ids", "token_type_ids"]
    assert [(s.dims[1].minimum, s.dims[1].maximum) for s in found.inputs] == [(2, 24)] * 2
