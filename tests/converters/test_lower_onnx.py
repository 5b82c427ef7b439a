"""Lowering to .onnx: runs at every length, equals eager, holds nothing of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgekit.parity import cosines
from edgekit.runtime import Floats
from edgekit.runtime.onnx import open_session
from edgekit_converters.export import Lowered
from edgekit_converters.export import onnx as lowering
from edgekit_converters.export.capture import Captured
from edgekit_converters.quiet import quiet
from tests.converters.conftest import Case
from tests.converters.test_lower_executorch import assert_anonymous


def lower(captured: Captured, scheme: str) -> Lowered:
    with quiet():
        return lowering.lower(captured, scheme, "none")


@pytest.fixture(scope="module")
def int8(smooth_edge: Captured) -> Lowered:
    """The fill-mask model, whose head and table share one weight."""
    return lower(smooth_edge, "int8")


def outputs(this: Case, lowered: Lowered, folder: Path) -> tuple[list[Floats], list[Floats]]:
    path = folder / lowered.info.file
    path.write_bytes(lowered.data)
    signature = this.captured.signature
    session = open_session(path, signature)
    wanted, found = [], []
    for length in (2, 3, 16, 50, this.loaded.max_length):
        inputs = this.ids(length, length)
        specs = zip(signature.inputs, inputs, strict=True)
        named = {spec.name: tensor.numpy() for spec, tensor in specs}
        found.append(session.run(named)[signature.outputs[0].name])
        with torch.no_grad():
            wanted.append(this.eager(*inputs).numpy())
    session.close()
    return wanted, found


@pytest.mark.parametrize("name", ["classifier", "distilbert", "electra", "roberta", "sentence"])
def test_fp32_equals_eager(case: Callable[[str], Case], name: str, tmp_path: Path) -> None:
    this = case(name)
    lowered = lower(this.rewritten(), "fp32")
    for wanted, found in zip(*outputs(this, lowered, tmp_path), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    assert lowered.info.bytes == len(lowered.data)
    assert lowered.info.bytes < lowered.info.fp32_bytes + 40_000
    assert_anonymous(lowered.data)


def test_int8_is_near_eager(case: Callable[[str], Case], int8: Lowered, tmp_path: Path) -> None:
    near = cosines(*outputs(case("mask"), int8, tmp_path))
    assert near.min() >= 0.99, near
    assert near.max() < 1.0 - 1e-7, "int8 leaves a trace"
    assert_anonymous(int8.data)


def test_no_fp32_matmul_with_a_weight_is_left(int8: Lowered) -> None:
    graph = onnx.load_model_from_string(int8.data).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMulInteger") == 2 * 6 + 2
    assert "Gemm" not in kinds
    for node in graph.node:
        if node.op_type == "MatMul":
            assert not any(name in weights for name in node.input), node.name
    large = [t for t in weights.values() if t.data_type == 1 and np.prod(t.dims) >= 1 << 14]
    assert large == []


def test_int8_size_and_ledger(int8: Lowered) -> None:
    groups = int8.info.quantization
    after = sum(group.bytes_after for group in groups)
    assert sum(group.bytes_before for group in groups) == int8.info.fp32_bytes
    assert after < int8.info.bytes < after + 40_000
    assert {group.kind: group.tensors for group in groups if group.scheme != "fp32"} == {
        "linear": 14,
        "embedding table": 1,
    }
    assert all(group.reason for group in groups if group.scheme == "fp32")


def test_same_bytes_again(smooth_edge: Captured, int8: Lowered) -> None:
    assert lower(smooth_edge, "int8").data == int8.data


def test_no_metadata(int8: Lowered) -> None:
    model = onnx.load_model_from_string(int8.data)
    assert (model.producer_name, model.producer_version) == ("edgekit", "")
    assert not model.metadata_props
    assert not model.graph.value_info
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    (tokens,) = {
        dim.dim_param
        for value in [*model.graph.input, *model.graph.output]
        for dim in value.type.tensor_type.shape.dim
        if dim.HasField("dim_param")
    }
    assert tokens == "tokens"
