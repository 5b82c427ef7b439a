"""The parity ladder: faults are named where they happen, and nothing is left of them.

Faults further down, in calibration and lowering, are in ``test_planted.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.fx import GraphModule

from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import ParityFailed
from edgekit_converters import pipeline
from edgekit_converters.graph import attention, views
from tests.bundle.trees import names
from tests.support.models import tiny_bert

TEXTS = ["The train leaves at seven.", "Das Wetter ist schön.", "Is it far?", "[MASK]"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("ladder") / "model")


@pytest.fixture
def export(model: Path, tmp_path: Path) -> Callable[..., Path]:
    samples = tmp_path / "samples.txt"
    samples.write_text("\n".join(TEXTS))

    def run(folder: Path = model, **options: Any) -> Path:
        asked: dict[str, Any] = {"runtimes": ["onnx"], "quantize": "none"} | options
        return pipeline.export(folder, out=tmp_path / "home" / "out", samples=samples, **asked)

    return run


def first_failure(job: Callable[[], Any], home: Path) -> ParityFailed:
    """The job fails for parity and leaves nothing."""
    with pytest.raises(ParityFailed) as caught:
        job()
    error = caught.value
    assert error.exit_status == 1
    assert "Nothing was written" in error.hint
    assert "--keep-failed" in error.hint
    assert not home.exists()
    hops = error.details["hops"]
    first = next(hop for hop in hops if not hop["passed"])
    assert error.message.startswith(f"{first['hop']} (")
    assert str(first["worst_cosine"]) in error.message
    assert first["worst_sample"] in TEXTS
    return error


def hop_names(error: ParityFailed, passed: bool) -> list[str]:
    return [hop["hop"] for hop in error.details["hops"] if hop["passed"] is passed]


def damage_a_weight(graph: GraphModule) -> None:
    name = next(n for n, _ in graph.named_parameters() if n.endswith("layer.1.output.dense.weight"))
    weight = graph.get_parameter(name)
    owner, _, last = name.rpartition(".")
    changed = weight.detach().clone()
    changed[::2] *= -1
    setattr(graph.get_submodule(owner), last, torch.nn.Parameter(changed, requires_grad=False))


def damaging(right: Callable[[GraphModule], int]) -> Callable[[GraphModule], int]:
    """A rewrite that also breaks something."""

    def wrong(graph: GraphModule) -> int:
        damage_a_weight(graph)
        return right(graph)

    return wrong


def test_a_wrong_rewrite(
    export: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "apply", damaging(views.apply))
    error = first_failure(export, tmp_path / "home")
    assert error.message.startswith("rewritten (graph)")
    assert hop_names(error, passed=True) == ["exported"]


def test_a_wrong_attention(
    export: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = attention.attention

    def wrong(*args: Any, **options: Any) -> tuple[torch.Tensor, None]:
        mixed, _ = right(*args, **options)
        return mixed * torch.linspace(0.5, 1.5, mixed.shape[-1]), None

    monkeypatch.setattr(attention, "attention", wrong)
    try:
        error = first_failure(export, tmp_path / "home")
    finally:
        monkeypatch.undo()
        attention.register()  # the right one again
    assert error.message.startswith("exported (graph)")
    assert hop_names(error, passed=True) == []


@pytest.fixture
def overflowing(model: Path, tmp_path: Path) -> Path:
    """Every weight is finite, the answers are not."""
    folder = tiny_bert(tmp_path / "overflowing")
    tensors = load_file(folder / "model.safetensors")
    tensors["bert.encoder.layer.1.intermediate.dense.weight"].fill_(3e38)
    tensors["bert.encoder.layer.1.intermediate.dense.weight"][::2] *= -1
    tensors["bert.encoder.layer.1.output.dense.weight"].fill_(3e38)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_answers_that_are_not_numbers(
    export: Callable[..., Path], overflowing: Path, tmp_path: Path
) -> None:
    error = first_failure(lambda: export(overflowing), tmp_path / "home")
    assert hop_names(error, passed=True) == []
    assert {hop["worst_cosine"] for hop in error.details["hops"]} == {-1.0}


def test_keep_failed(
    export: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "apply", damaging(views.apply))
    with pytest.raises(ParityFailed, match=r"^rewritten") as caught:
        export(keep_failed=True)
    kept = tmp_path / "home" / "out"
    assert str(kept) in caught.value.hint
    assert "not certified" in caught.value.hint
    assert names(tmp_path / "home") == ["out"]
    manifest = load_manifest(kept)
    check_files(kept, manifest)
    assert manifest.certified is False
    assert [hop.hop for hop in manifest.quality if not hop.passed] == ["rewritten", "onnx"]
    card = (kept / "README.md").read_text()
    assert re.search(r"^> \*\*Not certified\.\*\*", card, re.MULTILINE)


def test_a_sound_model_passes_every_hop(export: Callable[..., Path], tmp_path: Path) -> None:
    manifest = load_manifest(export())
    assert manifest.certified
    assert [hop.hop for hop in manifest.quality] == ["exported", "rewritten", "onnx"]
    assert all(hop.passed and hop.worst_cosine >= 0.99999 for hop in manifest.quality)
    assert all(hop.samples == len(TEXTS) for hop in manifest.quality)
    assert "Not certified" not in (tmp_path / "home" / "out" / "README.md").read_text()
