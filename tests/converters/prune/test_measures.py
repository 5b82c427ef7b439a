"""What a result says of bytes and milliseconds."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.errors import InputRefused
from edgekit_converters.prune import measures, quality
from edgekit_converters.prune.subject import subject
from edgekit_converters.source import resolve
from tests.support.models import edit_json, tiny_bert, tiny_sentence_bert


def test_parameters_are_counted_once_and_zeros_with_them() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight[0, :3] = 0
    assert measures.parameters(model) == {"parameters": 16, "zeros": 3}


def test_a_download_is_what_deflate_makes_of_the_files(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "model")
    raw = (folder / "model.safetensors").read_bytes()
    found = measures.weight_bytes(folder)
    assert found == {"file": len(raw), "download": len(zlib.compress(raw, 6))}


def test_identical_models_take_the_same_time_and_agree(tmp_path: Path) -> None:
    original = subject(resolve(tiny_sentence_bert(tmp_path / "model")))
    times = measures.latency(original, {"before": original.model, "after": original.model}, None)
    assert times["of"] == "PyTorch, one thread"
    assert times["before"] == pytest.approx(times["after"], rel=1.0)
    batches = original.batches([f"text number {i} of some" for i in range(12)])
    figures = quality.measure(original, original, batches, batches)
    assert figures["cosine"] == pytest.approx(1, abs=1e-6)
    assert figures["spearman"] == pytest.approx(1, abs=1e-6)


def test_rank_correlation_is_that_of_ranks() -> None:
    one = torch.tensor([1.0, 5.0, 2.0, 9.0])
    assert quality.spearman(one, one**3) == pytest.approx(1)
    assert quality.spearman(one, -one) == pytest.approx(-1)
    assert quality.spearman(one, torch.zeros(4)) == 0.0  # constant: no ranks


@pytest.mark.slow
@pytest.mark.long
def test_the_exported_artifact_is_timed(tmp_path: Path) -> None:
    wide = tiny_sentence_bert(tmp_path / "wide", intermediate_size=4096)
    narrow = tiny_sentence_bert(tmp_path / "narrow", intermediate_size=64)
    original = subject(resolve(wide))
    models = {"before": original.model, "after": original.model}
    times = measures.latency(original, models, {"before": wide, "after": narrow})
    assert times["of"] == "fp32 .pte (XNNPACK)"
    assert times["after"] < times["before"]


def test_what_generates_is_timed_in_pytorch_and_says_why(tmp_path: Path) -> None:
    from tests.support.families import FAMILIES, write_family

    family, head = FAMILIES["T5 encoder"], "AutoModelForSeq2SeqLM"
    folder = write_family(tmp_path / "model", family, head=head)
    with pytest.raises(InputRefused, match="which token a decoder starts with"):
        subject(resolve(folder), "text2text-generation")
    edit_json(folder / "config.json", decoder_start_token_id=0)
    original = subject(resolve(folder), "text2text-generation")
    models = {"before": original.model, "after": original.model}
    times = measures.latency(original, models, {"before": folder, "after": folder})
    assert times["of"] == "PyTorch, one thread"
    assert "run in steps" in times["not exported"]
