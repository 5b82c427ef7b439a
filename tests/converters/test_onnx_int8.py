"""Dynamic int8 in ONNX, against the arithmetic of its own description in plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.quantize import onnx_int8

Array = NDArray[np.float32]


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, NDArray[np.generic]],
    outputs: Sequence[str] = ("y",),
    source: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    shape = None if source == TensorProto.INT64 else ["batch", "tokens", "width"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", source, shape or ["batch", "tokens"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b", "c"])
            for name in outputs
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def run(of: onnx.ModelProto, x: NDArray[np.generic]) -> list[Array]:
    onnx.checker.check_model(of)
    session = onnxruntime.InferenceSession(
        of.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[Array] = session.run(None, {"x": x})
    return found


def kinds(of: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in of.graph.node]


def weight_grid(weight: Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``Wq`` and ``w``: rounded per output channel."""
    scale = np.maximum(np.abs(weight).max(axis=0).astype(np.float64) / 127, 1e-12)
    return np.clip(np.round(weight / scale), -127, 127).astype(np.int64), scale


def by_hand(x: Array, weight: Array, centred: bool) -> NDArray[np.float64]:
    """``s * (q Wq) * w + c * sum(Wq * w)`` with one ``s`` and one ``c`` a token."""
    tokens = x.astype(np.float64)
    rounded, scale = weight_grid(weight)
    centre = np.zeros_like(tokens[..., :1])
    if centred:
        centre = (tokens.max(-1, keepdims=True) + tokens.min(-1, keepdims=True)) / 2
    step = np.maximum(np.abs(tokens - centre).max(-1, keepdims=True) / 127, 1e-9)
    q = np.clip(np.round((tokens - centre) / step), -128, 127).astype(np.int64)
    found: NDArray[np.float64] = step * (q @ rounded) * scale + centre * (rounded * scale).sum(
        axis=0
    )
    return found


def spread(tokens: int, width: int, seed: int = 0) -> Array:
    """Random tokens whose sizes are far apart."""
    rng = np.random.default_rng(seed)
    sizes = np.logspace(-4, 3, tokens)[None, :, None]
    return (rng.standard_normal((1, tokens, width)) * sizes).astype(np.float32)


def same_up_to_ties(found: Array, wanted: NDArray[np.float64], x: Array, weight: Array) -> None:
    """Equal but for single elements that lie on a rounding boundary in float32."""
    rounded, scale = weight_grid(weight)
    one_step = np.abs(x).max(-1, keepdims=True) / 127 * (np.abs(rounded) * scale).max(axis=0)
    error = np.abs(found - wanted)
    assert (error <= 1.01 * one_step + 1e-9).all()
    assert (error <= 1e-5 * np.abs(wanted).max(-1, keepdims=True) + 1e-9).mean() > 0.97


@pytest.mark.parametrize(("width", "columns"), [(64, 32), (37, 5), (1, 1), (7, 129)])
def test_a_linear(width: int, columns: int) -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((width, columns), dtype=np.float32)
    weight *= np.logspace(-3, 3, columns, dtype=np.float32)
    of = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight})
    sizes = onnx_int8.apply(of)
    assert sizes.linears == [(weight.nbytes, weight.size + columns * 4)]
    assert "MatMul" not in kinds(of)
    assert kinds(of).count("MatMulInteger") == 1
    x = spread(9, width)
    (found,) = run(of, x)
    assert found.dtype == np.float32
    same_up_to_ties(found, by_hand(x, weight, centred=False), x, weight)
    exact = x.astype(np.float64) @ weight
    if width >= 37:
        cosine = (found * exact).sum(-1) / np.linalg.norm(found, axis=-1)
        cosine /= np.linalg.norm(exact, axis=-1)
        assert cosine.min() > 0.999


def test_each_token_has_its_own_scale() -> None:
    weight = np.random.default_rng(2).standard_normal((32, 16), dtype=np.float32)
    of = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight})
    onnx_int8.apply(of)
    x = np.random.default_rng(3).standard_normal((1, 4, 32), dtype=np.float32)
    wild = x.copy()
    wild[0, 2] *= 1e5
    (calm_found,), (wild_found,) = run(of, x), run(of, wild)
    np.testing.assert_array_equal(calm_found[0, [0, 1, 3]], wild_found[0, [0, 1, 3]])


@pytest.mark.parametrize("activation", [None, "Relu"])
def test_tokens_of_zeros(activation: str | None) -> None:
    weight = np.random.default_rng(4).standard_normal((16, 8), dtype=np.float32)
    weight[:, 3] = 0.0
    first = [helper.make_node(activation, ["x"], ["a"])] if activation else []
    linear = helper.make_node("MatMul", ["a" if activation else "x", "w"], ["y"])
    of = model([*first, linear], {"w": weight})
    onnx_int8.apply(of)
    x = np.random.default_rng(5).standard_normal((1, 5, 16)).astype(np.float32)
    x[0, 1] = 0.0
    x[0, 3] = -np.abs(x[0, 3])
    (found,) = run(of, x)
    assert np.isfinite(found).all()
    assert (found[0, 1] == 0).all()
    assert (found[..., 3] == 0).all()
    if activation:
        assert (found[0, 3] == 0).all()
    (nothing,) = run(of, np.zeros((1, 3, 16), np.float32))
    assert (nothing == 0).all()


def gelu_then(scaled: bool) -> tuple[list[onnx.NodeProto], str]:
    nodes = [helper.make_node("Gelu", ["x"], ["g"])]
    if scaled:
        nodes.append(helper.make_node("Mul", ["g", "smooth"], ["m"]))
    return nodes, "m" if scaled else "g"


def gelu(x: Array) -> NDArray[np.float64]:
    from math import erf

    wide = x.astype(np.float64)
    found: NDArray[np.float64] = wide * 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
    return found


@pytest.mark.parametrize("scaled", [False, True])
def test_one_sided_activations_are_centred(scaled: bool) -> None:
    rng = np.random.default_rng(6)
    weight = rng.standard_normal((48, 24), dtype=np.float32)
    smooth = rng.uniform(0.2, 3.0, 48).astype(np.float32)
    nodes, last = gelu_then(scaled)
    constants = {"w": weight} | ({"smooth": smooth} if scaled else {})
    of = model([*nodes, helper.make_node("MatMul", [last, "w"], ["y"])], constants)
    onnx_int8.apply(of)
    assert {"ReduceMin", "Sub"} <= set(kinds(of))
    x = rng.standard_normal((1, 11, 48)).astype(np.float32) * 4
    given = (gelu(x) * (smooth if scaled else 1)).astype(np.float32)
    (found,) = run(of, x)
    same_up_to_ties(found, by_hand(given, weight, centred=True), given, weight)
    exact = given.astype(np.float64) @ weight
    plain = by_hand(given, weight, centred=False)
    assert np.square(found - exact).sum() < 0.8 * np.square(plain - exact).sum()


@pytest.mark.parametrize("activation", ["Tanh", "Identity"])
def test_two_sided_activations_are_not_centred(activation: str) -> None:
    weight = np.ones((8, 2), np.float32)
    of = model(
        [
            helper.make_node(activation, ["x"], ["t"]),
            helper.make_node("MatMul", ["t", "w"], ["y"]),
        ],
        {"w": weight},
    )
    onnx_int8.apply(of)
    assert "ReduceMin" not in kinds(of)


def test_a_product_of_two_activations_is_not_one_sided() -> None:
    weight = np.ones((8, 2), np.float32)
    of = model(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Mul", ["r", "x"], ["p"]),
            helper.make_node("MatMul", ["p", "w"], ["y"]),
        ],
        {"w": weight},
    )
    onnx_int8.apply(of)
    assert "ReduceMin" not in kinds(of)


def test_an_activation_with_two_readers_is_quantized_once() -> None:
    rng = np.random.default_rng(7)
    first, second = (rng.standard_normal((16, n), dtype=np.float32) for n in (4, 6))
    of = model(
        [
            helper.make_node("MatMul", ["x", "a"], ["y"]),
            helper.make_node("MatMul", ["x", "b"], ["z"]),
        ],
        {"a": first, "b": second},
        outputs=("y", "z"),
    )
    onnx_int8.apply(of)
    assert kinds(of).count("QuantizeLinear") == 1
    x = spread(5, 16)
    y, z = run(of, x)
    same_up_to_ties(y, by_hand(x, first, False), x, first)
    same_up_to_ties(z, by_hand(x, second, False), x, second)


def test_what_is_not_a_constant_linear_is_left() -> None:
    of = model(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["x", "t"], ["y"]),
        ],
        {},
    )
    before = of.SerializeToString(deterministic=True)
    sizes = onnx_int8.apply(of)
    assert (sizes.linears, sizes.tables) == ([], [])
    assert of.SerializeToString(deterministic=True) == before


def test_the_fp32_weight_is_dropped_unless_somebody_else_reads_it() -> None:
    weight = np.random.default_rng(8).standard_normal((16, 16), dtype=np.float32)
    linear = helper.make_node("MatMul", ["x", "w"], ["y"])
    alone = model([linear], {"w": weight})
    onnx_int8.apply(alone)
    assert "w" not in {tensor.name for tensor in alone.graph.initializer}
    shared = model(
        [linear, helper.make_node("Add", ["x", "w"], ["z"])], {"w": weight}, outputs=("y", "z")
    )
    onnx_int8.apply(shared)
    x = spread(16, 16)
    np.testing.assert_array_equal(run(shared, x)[1], x + weight)


def lookup(rows: int, width: int) -> tuple[onnx.ModelProto, Array]:
    table = np.random.default_rng(9).standard_normal((rows, width), dtype=np.float32)
    table *= np.logspace(-5, 4, rows, dtype=np.float32)[:, None]
    table[1] = 0.0
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    return model([node], {"table": table}, source=TensorProto.INT64), table


@pytest.mark.parametrize(("rows", "width"), [(256, 64), (500, 33)])
def test_a_table(rows: int, width: int) -> None:
    of, table = lookup(rows, width)
    sizes = onnx_int8.apply(of)
    assert sizes.tables == [(table.nbytes, table.size + rows * 4)]
    (found,) = run(of, np.arange(rows)[None])
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert (np.abs(found[0] - table) <= step * 0.5001 + 1e-12).all()
    assert (found[0, 1] == 0).all()
    assert len(of.SerializeToString()) < table.nbytes * 0.3 + 2000


def test_a_small_table_is_left() -> None:
    of, table = lookup(255, 64)
    assert onnx_int8.apply(of).tables == []
    (found,) = run(of, np.arange(255)[None])
    np.testing.assert_array_equal(found[0], table)
