"""SmoothQuant: nothing changes in fp32, and int8 gets better where activations have outliers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit.parity import snr_db
from edgekit_converters.export.capture import Captured
from edgekit_converters.graph.parameters import constant
from edgekit_converters.quantize import int8_dynamic, smoothquant
from tests.converters.conftest import Case, calibration, largest_difference, prepare
from tests.support.models import tiny_bert

aten = torch.ops.aten
TABLE = "model.bert.embeddings.word_embeddings.weight"


def smoothed(this: Case, alpha: float = smoothquant.ALPHA) -> tuple[GraphModule, int]:
    graph = this.rewritten().module()
    return graph, smoothquant.apply(graph, calibration(this), alpha)


def linears(graph: GraphModule) -> list[Node]:
    return [node for node in graph.graph.nodes if node.target is aten.linear.default]


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra", "mask"])
def test_the_function_is_unchanged(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph, _ = smoothed(this)
    for length in (2, 16, 31, this.loaded.max_length):
        inputs = this.ids(length, length)
        with torch.no_grad():
            size = float(this.eager(*inputs).abs().max())
        assert largest_difference(this.eager, graph, inputs) <= 1e-5 * max(size, 1.0)


def test_readers_of_one_activation_share_one_scale(case: Callable[[str], Case]) -> None:
    graph, scaled = smoothed(case("bert"))
    # Two layers: query, key and value together; attention's output; both of the feed-forward.
    assert scaled == 2 * 4
    assert len(linears(graph)) == 2 * 6
    inputs = {node.args[0] for node in linears(graph)}
    assert len(inputs) == scaled
    for node in inputs:
        assert isinstance(node, Node)
        assert node.target is aten.mul.Tensor
        assert constant(graph, node.args[1]) is not None


def test_tied_weights(case: Callable[[str], Case], smooth_edge: Captured) -> None:
    this = case("mask")
    parameters = this.captured.module().state_dict()
    (head,) = [name for name, t in parameters.items() if name.endswith("word_embeddings.weight")]
    before = parameters[head].clone()
    graph, _ = smoothed(this)
    read = [n.args[0] for n in graph.graph.nodes if n.target is aten.embedding.default]
    tables = [constant(graph, node) for node in read]
    (table,) = [found for found in tables if found is not None and len(found) > 1000]
    decoder = constant(graph, linears(graph)[-1].args[1])
    assert decoder is not None
    assert table.shape == decoder.shape
    assert torch.equal(table, before)
    model: Any = this.loaded.model
    assert torch.equal(model.get_input_embeddings().weight, before)
    assert not torch.allclose(decoder, before, atol=1e-3)
    assert table.data_ptr() != decoder.data_ptr()


@pytest.fixture(scope="module")
def outlying(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Some channels of every layer's input are fifty times the others."""
    folder = tiny_bert(tmp_path_factory.mktemp("outlying") / "model", head="AutoModel")
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith("LayerNorm.weight"):
            tensor[[3, 40]] *= 50.0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return prepare(folder, "feature-extraction")


def int8_noise(this: Case, graph: GraphModule, inputs: list[tuple[Tensor, ...]]) -> float:
    quantized = int8_dynamic.apply(this.captured.again(graph).module(), this.captured.example)
    reference, found = [], []
    with torch.no_grad():
        for sample in inputs:
            reference.append(this.eager(*sample).numpy())
            found.append(quantized(*sample).numpy())
    ratio = snr_db(reference, found)
    assert ratio is not None
    return ratio


def test_outliers_cost_less(outlying: Case) -> None:
    inputs = [outlying.ids(length, length) for length in (8, 24, 60)]
    plain = int8_noise(outlying, outlying.rewritten().module(), inputs)
    smooth = int8_noise(outlying, smoothed(outlying)[0], inputs)
    assert np.isfinite([plain, smooth]).all()
    assert smooth > plain + 3.0, (plain, smooth)
