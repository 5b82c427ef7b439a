"""Lowering to .onnx: runs at every length, equals eager, holds nothing of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgekit.errors import InternalError
from edgekit.parity import cosines
from edgekit.runtime import Floats
from edgekit.runtime.onnx import library, open_session
from edgekit_converters.export import Lowered
from edgekit_converters.export import onnx as lowering
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.graph.parameters import constant, replace_constant
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.units import units
from edgekit_converters.quiet import quiet
from tests.converters.conftest import Case
from tests.converters.test_lower_executorch import assert_anonymous
from tests.support.onnx_graphs import constants, grid
from tests.support.refusals import refused

# bits and group of linears, then of tables.
FORMS = {
    "rows": ((8, 0), (8, 0)),
    "blocks": ((8, 32), (8, 0)),
    "four": ((4, 16), (4, 32)),
    "mixed": ((8, 0), (4, 32)),
}


def on_grids(
    captured: Captured, linears: tuple[int, int], tables: tuple[int, int]
) -> tuple[Captured, dict[str, Grid]]:
    """The graph with every weight rounded to nearest, and the integers."""
    graph = captured.module()
    nodes = {str(node.target): node for node in graph.graph.nodes if node.op == "get_attr"}
    grids: dict[str, Grid] = {}
    for unit in units(graph):
        if unit.kind == "table" and unit.rows < 100:
            continue
        weight = constant(graph, nodes[unit.name])
        assert weight is not None
        grids[unit.name] = grid(weight.numpy(), *(tables if unit.kind == "table" else linears))
        replace_constant(graph, nodes[unit.name], grids[unit.name].dequantized())
    return captured.again(graph), grids


def lower(captured: Captured, grids: Mapping[str, Grid]) -> Lowered:
    with quiet():
        return lowering.lower(captured, grids, "none")


@dataclass(frozen=True)
class Made:
    """The fill-mask model, whose head and table share one weight, in one form."""

    case: Case
    edge: Captured
    grids: dict[str, Grid]
    lowered: Lowered

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the report has for each grid."""
        assert self.lowered.report is not None
        rows = self.lowered.report["onnx_weights"]
        assert isinstance(rows, list)
        return rows


@pytest.fixture(scope="module")
def made(case: Callable[[str], Case]) -> Callable[[str], Made]:
    """By form; made when first asked for."""

    @cache
    def of(form: str) -> Made:
        this = case("mask")
        edge, grids = on_grids(this.rewritten(), *FORMS[form])
        return Made(this, edge, grids, lower(edge, grids))

    return of


def lengths(this: Case) -> tuple[int, ...]:
    return (2, 3, 16, 50, this.loaded.max_length)


def outputs(this: Case, lowered: Lowered, folder: Path) -> tuple[list[Floats], list[Floats]]:
    path = folder / lowered.file
    path.write_bytes(lowered.data)
    signature = this.captured.signature
    session = open_session(path, signature)
    wanted, found = [], []
    for length in lengths(this):
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
    lowered = lower(this.rewritten(), {})
    for wanted, found in zip(*outputs(this, lowered, tmp_path), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    assert len(lowered.data) < weight_bytes(this.rewritten().module()).total + 40_000
    assert_anonymous(lowered.data)


def test_attention_is_one_operator_but_not_for_nnapi(
    case: Callable[[str], Case], static_case: Case
) -> None:
    plain = lower(case("bert").rewritten(), {})
    assert "com.microsoft::MultiHeadAttention" in plain.operators
    assert "ai.onnx::Softmax" not in plain.operators
    with quiet():
        for_nnapi = lowering.lower(static_case.rewritten(), {}, "nnapi")
    assert all(name.startswith("ai.onnx::") for name in for_nnapi.operators)


def test_sums_and_norms_stay_apart(case: Callable[[str], Case], tmp_path: Path) -> None:
    """ONNX Runtime's operator for both at once is the slower one; it needs recorded shapes."""
    options = library().SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    data = lower(case("bert").rewritten(), {}).data
    library().InferenceSession(data, options, providers=["CPUExecutionProvider"])
    made = onnx.load(options.optimized_model_filepath)
    kinds = {node.op_type for node in made.graph.node}
    assert "LayerNormalization" in kinds
    assert "SkipLayerNormalization" not in kinds


@pytest.mark.parametrize(
    ("form", "floor"), [("rows", 0.995), ("blocks", 0.998), ("mixed", 0.97), ("four", 0.9)]
)
def test_quantized_is_near_eager(
    made: Callable[[str], Made], form: str, floor: float, tmp_path: Path
) -> None:
    this = made(form)
    wanted, found = outputs(this.case, this.lowered, tmp_path)
    near = cosines(wanted, found)
    assert near.min() >= floor, near
    assert near.max() < 1.0 - 1e-7, "rounding leaves a trace"
    assert_anonymous(this.lowered.data)
    module = this.edge.module()
    with torch.no_grad():
        rounded = [module(*this.case.ids(n, n)).numpy() for n in lengths(this.case)]
    # Only activations differ from the graph with rounded weights.
    assert cosines(rounded, found).min() >= 0.995


@pytest.mark.parametrize("form", FORMS)
def test_no_fp32_weight_with_a_grid_is_left(made: Callable[[str], Made], form: str) -> None:
    model = onnx.load_model_from_string(made(form).lowered.data)
    held = constants(model)
    assert "Gemm" not in [node.op_type for node in model.graph.node]
    for node in model.graph.node:
        if node.op_type == "MatMul":
            assert not any(name in held for name in node.input), node.name
    large = [n for n, v in held.items() if v.dtype == np.float32 and v.ndim == 2 and v.size > 4096]
    assert [name for name in large if not name.endswith(".scale")] == []


@pytest.mark.parametrize("form", FORMS)
def test_size_and_rows(made: Callable[[str], Made], form: str) -> None:
    this = made(form)
    total = weight_bytes(this.case.rewritten().module()).total
    left = total - sum(row["bytes_before"] - row["bytes_after"] for row in this.rows)
    # The tiny model's biases are zeros, and a bias of zeros is not written.
    assert left - 4_000 < len(this.lowered.data) < left + 40_000
    assert [row["name"] for row in this.rows] == sorted(this.grids)
    assert {"linear", "tied"} <= {row["kind"] for row in this.rows}
    for row in this.rows:
        of = this.grids[row["name"]]
        assert (row["bits"], row["bytes_before"]) == (of.bits, of.values.numel() * 4)


def test_same_bytes_again(made: Callable[[str], Made]) -> None:
    this = made("mixed")
    assert lower(this.edge, this.grids).data == this.lowered.data


def test_no_metadata(made: Callable[[str], Made]) -> None:
    model = onnx.load_model_from_string(made("mixed").lowered.data)
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


def test_a_grid_of_another_weight_is_an_error(made: Callable[[str], Made]) -> None:
    this = made("rows")
    name = sorted(this.grids)[3]
    right = this.grids[name]
    values = right.values.clone()
    values[5, 5] += 1 if values[5, 5] < 0 else -1
    wrong = this.grids | {name: replace(right, values=values)}
    refused(InternalError, 70, name, lambda: lower(this.edge, wrong))
