"""Refitting what stays: exact where it can be, nothing where nothing is gone, quiet elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from edgekit.errors import Unsupported
from edgekit_converters.distill import repair, student
from edgekit_converters.distill.collate import NumberedRows, collate_for
from edgekit_converters.distill.endings import endings
from edgekit_converters.distill.least_squares import NormalEquations
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught
from edgekit_converters.distill.outputs import Probe
from edgekit_converters.distill.teacher import Live
from tests.converters.distill.conftest import TEXTS
from tests.converters.prune import models

ENDING_IN_A_NORM = ("BERT", "DistilBERT")
ONE_STACK = (*ENDING_IN_A_NORM, "GPT-2", "Llama, grouped queries")
LAST = {
    "BERT": "bert.encoder.layer.1.output.dense",
    "DistilBERT": "distilbert.transformer.layer.1.ffn.lin2",
    "GPT-2": "transformer.h.1.mlp.c_proj",
    "Llama, grouped queries": "model.layers.1.mlp.down_proj",
}


def batches(texts: int = 48) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    found = []
    for _ in range(12):
        ids = torch.randint(2, models.VOCABULARY, (texts, 9), generator=draw)
        found.append({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    return found


def refitted(made: nn.Module, whole: nn.Module, ends: list[int]) -> list[Any]:
    texts = batches()
    own, other = endings(made, texts[0]), endings(whole, texts[0])
    return repair.refitted(made, whole, own, [other[number] for number in ends], texts)


@pytest.mark.parametrize("name", ONE_STACK)
def test_nothing_changes_where_no_layer_is_gone(name: str) -> None:
    whole = models.model(name)
    made = copy.deepcopy(whole)
    fits = refitted(made, whole, list(range(whole.config.num_hidden_layers)))
    assert all(fit.damping is None for fit in fits)
    before = whole.state_dict()
    assert all(torch.equal(tensor, before[n]) for n, tensor in made.state_dict().items())


@pytest.mark.parametrize("name", ONE_STACK)
def test_what_a_matrix_lost_is_recovered(name: str) -> None:
    whole = models.model(name)
    made = copy.deepcopy(whole)
    with torch.no_grad():
        for parameter in made.get_submodule(LAST[name]).parameters():
            parameter += 0.1 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(5)
            )
    lost = apart(name, made, whole)
    fits = refitted(made, whole, list(range(whole.config.num_hidden_layers)))
    assert fits[0].damping is None
    assert fits[1].left < 1e-4
    assert apart(name, made, whole) < 0.01 * lost


def apart(name: str, made: nn.Module, whole: nn.Module) -> float:
    return float((models.outputs(name, made) - models.outputs(name, whole)).norm())


@pytest.mark.parametrize("name", ONE_STACK)
def test_each_layer_ends_nearer_to_the_one_before_the_next(name: str) -> None:
    whole = models.model(name)
    assert [ending.norm is not None for ending in endings(whole, batches(1)[0])] == (
        [name in ENDING_IN_A_NORM] * whole.config.num_hidden_layers
    )
    kept = [0, 2] if name == "BERT" else [0]
    made = student.from_layers(whole, kept)
    lost = apart(name, made, whole)
    ends = repair.follows(kept, whole.config.num_hidden_layers)
    fits = refitted(made, whole, ends)
    assert fits[0].left < 1
    assert apart(name, made, whole) < lost


def test_which_layer_each_follows() -> None:
    assert repair.follows([0, 4, 5], 6) == [3, 4, 5]
    assert repair.follows([1], 3) == [2]
    assert repair.follows(range(4), 4) == [0, 1, 2, 3]


def test_a_model_with_two_stacks_has_no_such_place() -> None:
    made = models.model("T5")
    with pytest.raises(Unsupported, match="no single list"):
        endings(made, batches(1)[0])


def bare(name: str, **more: Any) -> Any:
    """A small model of a family that pruning does not know."""
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=models.VOCABULARY, num_hidden_layers=3, **sizes, **more
    )
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(config).eval().requires_grad_(False)


def test_a_family_that_cannot_be_cut_may_be_refitted() -> None:
    whole = bare("MPNet")
    made = student.from_layers(whole, [0, 2])
    assert refitted(made, whole, [1, 2])[0].left < 1
    ending = endings(whole, batches(1)[0])[1]
    assert ending.norm is whole.encoder.layer[1].output.LayerNorm
    assert ending.scale == pytest.approx(1, abs=1e-4)


def test_a_norm_between_the_network_and_the_sum_is_no_place() -> None:
    made = bare("Gemma2", num_key_value_heads=2, head_dim=16)
    with pytest.raises(Unsupported, match="do not end in a sum"):
        endings(made, batches(1)[0])


def test_noise_is_not_fitted_and_a_line_is() -> None:
    draw = torch.Generator().manual_seed(0)
    noise, line = NormalEquations(30, 3), NormalEquations(30, 3)
    slope = torch.randn(30, 3, generator=draw)
    for _ in range(10):
        rows = torch.randn(8, 30, generator=draw)
        noise.add(rows, torch.randn(8, 3, generator=draw))
        line.add(rows, rows @ slope)
    assert float(noise.fit().change.abs().max()) < 0.05
    found = line.fit()
    assert found.left < 1e-6
    assert torch.allclose(found.change.float(), slope, atol=1e-3)
    nothing = NormalEquations(30, 3)
    nothing.add(rows, torch.zeros(8, 3))
    assert not bool(nothing.fit().change.any())


def test_inputs_of_very_different_sizes_are_fitted_too() -> None:
    draw = torch.Generator().manual_seed(0)
    scale = torch.tensor([1e6] + [1.0] * 29)
    slope = torch.randn(30, 3, generator=draw) / scale[:, None]
    equations = NormalEquations(30, 3)
    for _ in range(10):
        rows = torch.randn(2, 30, generator=draw) * scale  # fewer rows than inputs
        equations.add(rows, rows @ slope)
    found = equations.fit()
    assert bool(found.change.isfinite().all())
    assert found.left <= 1


def test_a_repair_is_kept_only_where_it_helps(teacher: Taught) -> None:
    collate = collate_for(teacher)
    judges = NumberedRows([{"text": text} for text in TEXTS[:40]])
    rows = NumberedRows([{"text": text} for text in TEXTS[40:]])
    measure = Measure(teacher.kind, Live(teacher.probe()), collate, judges)
    texts = repair.batches(rows, collate)
    assert sum(len(batch["input_ids"]) for batch in texts) == len(rows)

    made = student.from_layers(teacher.model, [0, 3])
    found = repair.repair(Probe(made, teacher.pooling), teacher.model, [2, 3], texts, measure)
    assert found.after is not None
    assert found.kept == (found.after > found.before)
    assert measure(Probe(made, teacher.pooling)).fidelity == pytest.approx(found.fidelity)

    # Towards the wrong layers nothing is gained, and the model is as it was.
    wrong = copy.deepcopy(teacher.model)
    told: list[str] = []
    found = repair.repair(
        Probe(wrong, teacher.pooling), teacher.model, [0, 0, 0, 0], texts, measure, told.append
    )
    assert not found.kept
    before = teacher.model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in wrong.state_dict().items())
    assert "would not help" in told[0]
    assert found.record()["after"] < found.record()["before"]


def test_where_nothing_can_be_refitted_the_reason_is_said(teacher: Taught) -> None:
    measure = Measure(
        teacher.kind,
        Live(teacher.probe()),
        collate_for(teacher),
        NumberedRows([{"text": text} for text in TEXTS[:8]]),
    )
    found = repair.repair(teacher.probe(), teacher.model, [0, 1, 2, 3], [], measure)
    assert not found.kept
    assert found.record()["reason"] == "there are no texts to fit to"
    assert found.fidelity == found.before
