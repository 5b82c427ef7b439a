"""NNAPI: a static .onnx, padding without effect, and a report from the checker's own tables."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from edgekit.errors import Unsupported
from edgekit.runtime.onnx import open_session
from edgekit_converters.export import Lowered
from edgekit_converters.export import onnx as lowering
from edgekit_converters.export.delegates import nnapi
from edgekit_converters.quiet import quiet
from tests.converters.conftest import Case
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def lowered(static_case: Case) -> Lowered:
    with quiet():
        return lowering.lower(static_case.rewritten(), {}, "nnapi")


def test_every_shape_is_fixed(lowered: Lowered) -> None:
    model = onnx.load_model_from_string(lowered.data)
    assert [value.name for value in model.graph.input] == [
        "input_ids",
        "token_type_ids",
        "attention_mask",
    ]
    for value in [*model.graph.input, *model.graph.output]:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        assert all(size > 0 for size in sizes)
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 24]


@pytest.mark.parametrize("length", [2, 9, 23, 24])
def test_padded_text_equals_the_unpadded_eager_model(
    static_case: Case, lowered: Lowered, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("nnapi") / "model.onnx"
    path.write_bytes(lowered.data)
    session = open_session(path, static_case.captured.signature)
    ids, types, _ = static_case.ids(length)
    row = np.zeros((1, 24), np.int64)
    row[:, :length] = ids.numpy()
    mask = (np.arange(24) < length).astype(np.int64)[None]
    inputs = {"input_ids": row, "token_type_ids": np.zeros_like(row), "attention_mask": mask}
    found = session.run(inputs)["logits"]
    with torch.no_grad():
        wanted = static_case.eager(ids, types).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    session.close()


def test_report(lowered: Lowered) -> None:
    assert lowered.report is not None
    report = lowered.report["nnapi"]
    assert isinstance(report, dict)
    graph = onnx.load_model_from_string(lowered.data).graph
    assert report["nodes"] == len(graph.node)
    assert 0 < report["supported_nodes"] < report["nodes"]
    assert report["share"] == pytest.approx(report["supported_nodes"] / report["nodes"], abs=1e-4)
    assert report["partitions"] == len(report["partition_sizes"]) > 0
    assert sum(report["partition_sizes"]) == report["supported_nodes"]
    kinds = [f"{node.domain or 'ai.onnx'}:{node.op_type}" for node in graph.node]
    unsupported = report["unsupported_operators"]
    # NNAPI knows no erf or gelu in the provider's table.
    assert unsupported["ai.onnx:Gelu"] == 2
    assert all(kinds.count(name) == count for name, count in unsupported.items())
    assert report["dynamic_inputs"] == 0
    assert report["verdict"] in nnapi.VERDICTS.values()
    assert "15" in report["deprecation"]
    told = " ".join(lowered.notes)
    assert "Gelu x2" in told
    assert report["verdict"] in told
    assert told.count(nnapi.DEPRECATED) == 1


def test_a_graph_that_it_takes_whole() -> None:
    shape = [1, 8]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    notes, data = nnapi.partitions(model)
    report = data["nnapi"]
    assert isinstance(report, dict)
    assert (report["share"], report["partitions"]) == (1.0, 1)
    assert report["unsupported_operators"] == {}
    assert report["verdict"] == nnapi.VERDICTS["YES"]
    assert "it lacks: none" in notes[0]


def test_integers_are_refused(static_case: Case) -> None:
    edge, decisions = static_case.quantized()
    job = lambda: lowering.lower(edge, decisions.grids, "nnapi")  # noqa: E731
    assert "--quantize none" in refused(Unsupported, 78, "NNAPI", job).hint
