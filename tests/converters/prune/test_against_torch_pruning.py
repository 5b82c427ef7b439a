"""The surgeon beside an independent one: torch-pruning, which traces what depends on what."""

from __future__ import annotations

import copy

import pytest
import torch

from edgekit_converters.prune import architecture, surgeon
from tests.converters.prune import models

torch_pruning = pytest.importorskip("torch_pruning")

LAYERS = {
    "BERT classifier": "bert.encoder.layer.{}.intermediate.dense",
    "Llama, one key head": "model.layers.{}.mlp.up_proj",
}


@pytest.mark.parametrize("name", LAYERS)
def test_neurons_cut_both_ways_give_the_same_model(name: str) -> None:
    original = models.model(name)
    now = architecture.of(original)
    groups = now.along(now.facts.FFN, "ffn")
    gone = [1, 4, 5, 90]
    kept = [unit for unit in range(groups[0].count) if unit not in gone]
    ours = surgeon.cut(now, groups, {g.name: kept for g in groups}, {now.facts.FFN: len(kept)})

    theirs = copy.deepcopy(original).requires_grad_(True)
    ids = torch.ones(1, 5, dtype=torch.int64)
    for layer in range(len(groups)):
        graph = torch_pruning.DependencyGraph().build_dependency(
            theirs,
            example_inputs={"input_ids": ids, "use_cache": False}
            if "Llama" in name
            else {"input_ids": ids},
        )
        module = theirs.get_submodule(LAYERS[name].format(layer))
        found = graph.get_pruning_group(module, torch_pruning.prune_linear_out_channels, gone)
        found.prune()
    before = {n: tuple(p.shape) for n, p in theirs.named_parameters()}
    assert before == {n: tuple(p.shape) for n, p in ours.named_parameters()}
    assert torch.allclose(models.outputs(name, ours), models.outputs(name, theirs), atol=1e-6)
