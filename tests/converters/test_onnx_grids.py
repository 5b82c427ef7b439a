"""Which node gets which grid, tables, tied weights, and what is said of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgekit.errors import InternalError
from edgekit_converters.quantize import onnx_grids
from edgekit_converters.quantize.grid import Grid
from tests.support.onnx_graphs import (
    constants,
    grid,
    kinds,
    model,
    random_grid,
    run,
    spread,
    stands_for,
)
from tests.support.refusals import refused


def test_names_and_duplicates_do_not_matter() -> None:
    """The same weight under two names, and under a name that says nothing."""
    of = random_grid(8, 16)
    weight = stands_for(of).T.copy()
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{name}"]) for name in ("val_1", "val_2")]
    made = model(nodes, {"val_1": weight, "val_2": weight}, outputs=("yval_1", "yval_2"))
    rows = onnx_grids.apply(made, {"first": of, "second": of})
    assert [row.name for row in rows] == ["first", "second"]
    one, other = run(made, spread(4, 16))
    np.testing.assert_array_equal(one, other)
    assert not {"val_1", "val_2"} & constants(made).keys()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_gemm(bits: int, transposed: bool, biased: bool) -> None:
    of = random_grid(8, 32, bits, 0 if bits == 8 else 16)
    held: dict[str, NDArray[np.generic]] = {
        "w": stands_for(of) if transposed else stands_for(of).T.copy()
    }
    if biased:
        held["b"] = np.arange(8, dtype=np.float32)
    node = helper.make_node("Gemm", ["x", *held], ["y"], transB=int(transposed))
    made = model([node], held, dims=["rows", 32])
    x = spread(5, 32)[0]
    before = run(made, x)[0]
    onnx_grids.apply(made, {"weight": of})
    assert "Gemm" not in kinds(made)
    np.testing.assert_allclose(run(made, x)[0], before, rtol=0.05, atol=np.abs(before).max() / 50)


def test_a_transposed_constant_is_the_weight() -> None:
    of = random_grid(8, 16)
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    made = model(nodes, {"w": stands_for(of)})
    onnx_grids.apply(made, {"weight": of})
    assert not {"Transpose", "MatMul"} & set(kinds(made))
    assert "w" not in constants(made)


def test_weights_without_a_grid_stay() -> None:
    of = random_grid(16, 16)
    other = np.random.default_rng(1).standard_normal((16, 16), dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "o"], ["y"]),
    ]
    made = model(nodes, {"w": stands_for(of).T.copy(), "o": other})
    onnx_grids.apply(made, {"weight": of})
    assert kinds(made)[-1] == "MatMul"
    np.testing.assert_array_equal(constants(made)["o"], other)


def test_the_fp32_weight_stays_where_somebody_else_reads_it() -> None:
    of = random_grid(16, 16)
    weight = stands_for(of).T.copy()
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Add", ["x", "w"], ["z"]),
    ]
    made = model(nodes, {"w": weight}, outputs=("y", "z"))
    onnx_grids.apply(made, {"weight": of})
    x = spread(16, 16)
    np.testing.assert_array_equal(run(made, x)[1], x + weight)


def test_an_inner_value_that_is_an_output_keeps_its_bias_apart() -> None:
    of = random_grid(8, 16)
    bias = np.arange(8, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    made = model(nodes, {"w": stands_for(of).T.copy(), "b": bias}, outputs=("y", "p"))
    onnx_grids.apply(made, {"weight": of})
    y, p = run(made, spread(4, 16))
    np.testing.assert_array_equal(y, p + bias)


@pytest.mark.parametrize("change", ["value", "shape"])
def test_a_grid_that_nothing_reads_is_an_error(change: str) -> None:
    of = random_grid(8, 16)
    weight = stands_for(of).T.copy()
    if change == "value":
        weight[3, 3] = np.nextafter(weight[3, 3], np.float32(np.inf))
    else:
        weight = weight.reshape(8, 16)
    x_width = weight.shape[0]
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, dims=[3, x_width])
    untouched = made.SerializeToString(deterministic=True)
    refused(
        InternalError, 70, "layer.3.weight", lambda: onnx_grids.apply(made, {"layer.3.weight": of})
    )
    assert made.SerializeToString(deterministic=True) == untouched


@pytest.mark.parametrize("node", ["scaled gemm", "left product", "scatter"])
def test_other_readers_are_no_use_of_a_weight(node: str) -> None:
    of = random_grid(16, 16)
    held: dict[str, NDArray[np.generic]] = {"w": stands_for(of).T.copy()}
    made = model(
        [
            {
                "scaled gemm": helper.make_node("Gemm", ["x", "w"], ["y"], alpha=2.0),
                "left product": helper.make_node("MatMul", ["w", "x"], ["y"]),
                "scatter": helper.make_node("Sub", ["x", "w"], ["y"]),
            }[node]
        ],
        held,
        dims=[16, 16],
    )
    refused(InternalError, 70, "weight", lambda: onnx_grids.apply(made, {"weight": of}))


def test_a_table_of_rows() -> None:
    of = random_grid(500, 33)
    table = stands_for(of)
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    made = model([node], {"table": table}, source=TensorProto.INT64)
    (row,) = onnx_grids.apply(made, {"embedding": of})
    np.testing.assert_array_equal(constants(made)["embedding.rows"], of.values.numpy())
    np.testing.assert_array_equal(run(made, np.arange(500)[None])[0][0], table)
    assert (row.kind, row.form, row.bits, row.group) == ("table", "Gather", 8, 0)
    assert (row.bytes_before, row.bytes_after) == (table.nbytes, table.size + 500 * 4)
    assert row.scheme == "int8 per row"
    assert len(made.SerializeToString()) < table.nbytes * 0.3 + 2000


def tied(of: Grid) -> onnx.ModelProto:
    """A table whose transpose gives the logits."""
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["h"]),
        helper.make_node("MatMul", ["h", "turned"], ["p"]),
        helper.make_node("Add", ["p", "bias"], ["y"]),
    ]
    rows = of.values.shape[0]
    held = {
        "table": stands_for(of),
        "turned": stands_for(of).T.copy(),
        "bias": np.linspace(-1, 1, rows, dtype=np.float32),
    }
    return model(nodes, held, source=TensorProto.INT64)


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (8, 32), (4, 32), (4, 0)])
@pytest.mark.parametrize("width", [64, 50])
def test_a_tied_weight_is_stored_once(bits: int, group: int, width: int) -> None:
    weight = np.random.default_rng(0).standard_normal((300, width), dtype=np.float32)
    of = grid(weight, bits, group)
    made = tied(of)
    ids = np.arange(40).reshape(2, 20)
    before = run(made, ids)[0]
    (row,) = onnx_grids.apply(made, {"table": of})
    assert row.kind == "tied"
    stored = constants(made)
    packed = [name for name, value in stored.items() if value.dtype in (np.int8, np.uint8)]
    large = [name for name in packed if stored[name].size > 1000]
    assert len(large) == 1
    assert not [name for name, value in stored.items() if value.nbytes == weight.nbytes]
    after = run(made, ids)[0]
    cosine = (before * after).sum(-1) / np.linalg.norm(before, axis=-1)
    assert (cosine / np.linalg.norm(after, axis=-1)).min() > 0.9995
    scales = sum(v.nbytes for n, v in stored.items() if n.endswith(".scale"))
    assert row.bytes_after == stored[large[0]].nbytes + scales


def test_rows_say_what_lies_in_the_file() -> None:
    grids = {
        "a": random_grid(24, 96, seed=1),
        "b": random_grid(24, 96, 4, 32, seed=2),
        "c": random_grid(24, 90, 8, 32, seed=3),
    }
    sources = {"a": "x", "b": "x", "c": "narrow"}
    nodes = [helper.make_node("Slice", ["x", "from", "to", "last"], ["narrow"])] + [
        helper.make_node("MatMul", [sources[name], f"w{name}"], [f"y{name}"]) for name in grids
    ]
    held: dict[str, NDArray[np.generic]] = {
        f"w{name}": stands_for(of).T.copy() for name, of in grids.items()
    }
    held |= {name: np.array([n]) for name, n in (("from", 0), ("to", 90), ("last", -1))}
    made = model(nodes, held, outputs=("ya", "yb", "yc"))
    rows = {row.name: row for row in onnx_grids.apply(made, grids)}
    stored = constants(made)
    for name, suffix in (("a", "int8"), ("b", "blocks"), ("c", "blocks")):
        file = stored[f"{name}.{suffix}"].nbytes + stored[f"{name}.{suffix}.scale"].nbytes
        assert rows[name].bytes_after == file
        assert rows[name].bytes_before == grids[name].values.numel() * 4
    assert [row.form for row in rows.values()] == ["MatMulIntegerToFloat", *["MatMulNBits"] * 2]
    assert rows["a"].scheme == "int8 per row, activations int8 per token"
    assert rows["b"].scheme == "int4 in groups of 32, activations int8 per token and block"
    assert {row.kind for row in rows.values()} == {"linear"}
