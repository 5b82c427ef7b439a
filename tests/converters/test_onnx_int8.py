"""Dynamic int8 linears in ONNX, against the arithmetic of their description in plain numpy."""

from __future__ import annotations

from math import erf

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from edgekit_converters.quantize import onnx_grids
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.onnx_int8 import LEAST
from tests.support.onnx_graphs import (
    Array,
    constants,
    grid,
    kinds,
    model,
    random_grid,
    run,
    spread,
    stands_for,
)

Exact = NDArray[np.float64]


def linear(
    of: Grid, bias: Array | None = None, dims: list[int | str] | None = None
) -> onnx.ModelProto:
    """``x @ w`` on a grid, quantized."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y" if bias is None else "p"])]
    held = {"w": stands_for(of).T.copy()}
    if bias is not None:
        nodes.append(helper.make_node("Add", ["p", "b"], ["y"]))
        held["b"] = bias
    made = model(nodes, held, dims=dims)
    onnx_grids.apply(made, {"weight": of})
    return made


def by_hand(x: Array, of: Grid, shift: float | Array | None = None) -> Exact:
    """``s * (q - z) Wq * w - d Wq * w`` with one ``s`` a token."""
    tokens = x.astype(np.float64)
    values, scales = of.values.numpy().astype(np.int64), of.scales.numpy().astype(np.float64)
    if shift is None:
        step = np.abs(tokens).max(-1, keepdims=True) / 127
        low, high, moved = -128, 127, tokens
    else:
        moved = tokens + shift
        step = moved.max(-1, keepdims=True) / 255
        low, high = 0, 255
    step = np.maximum(step, 1e-30)
    q = np.clip(np.round(moved / step), low, high).astype(np.int64)
    found: Exact = step * (q @ values.T) * scales.T
    if shift is not None:
        weight = values * scales
        found -= weight @ np.broadcast_to(np.asarray(shift, np.float64), weight.shape[1])
    return found


def same_up_to_ties(found: Array, wanted: Exact, x: Array, of: Grid) -> None:
    """Equal but for single elements that lie on a rounding boundary in float32."""
    one_step = np.abs(x).max(-1, keepdims=True) / 127 * np.abs(stands_for(of)).max(axis=1)
    error = np.abs(found - wanted)
    assert (error <= 1.01 * one_step + 1e-9).all()
    assert (error <= 1e-5 * np.abs(wanted).max(-1, keepdims=True) + 1e-9).mean() > 0.97


@pytest.mark.parametrize("dims", [[1, "tokens", "width"], ["batch", "tokens", "width"]], ids=str)
@pytest.mark.parametrize(("width", "columns"), [(64, 32), (37, 5), (1, 1), (7, 129)])
def test_a_linear(width: int, columns: int, dims: list[int | str]) -> None:
    of = random_grid(columns, width, seed=1)
    made = linear(of, dims=dims)
    assert "MatMul" not in kinds(made)
    assert kinds(made).count("MatMulIntegerToFloat") == 1
    x = spread(9, width)
    (found,) = run(made, x)
    assert found.dtype == np.float32
    same_up_to_ties(found, by_hand(x, of), x, of)
    exact = x.astype(np.float64) @ stands_for(of).T
    if width >= 37:
        cosine = (found * exact).sum(-1) / np.linalg.norm(found, axis=-1)
        cosine /= np.linalg.norm(exact, axis=-1)
        assert cosine.min() > 0.999


@pytest.mark.parametrize("dims", [[1, "tokens", "width"], [1, 1, "tokens", "width"]], ids=str)
def test_one_token_axis_needs_no_list_of_tokens(dims: list[int | str]) -> None:
    made = linear(random_grid(8, 16), dims=dims)
    axes = [node.attribute[0].i for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert axes == [len(dims) - 2]
    assert kinds(made).count("Reshape") == 1
    x = np.random.default_rng(0).standard_normal([1] * (len(dims) - 2) + [5, 16])
    same_up_to_ties(
        run(made, x.astype(np.float32))[0],
        by_hand(x.astype(np.float32), random_grid(8, 16)),
        x.astype(np.float32),
        random_grid(8, 16),
    )


def test_a_list_of_rows() -> None:
    """A classifier's head reads ``(1, width)``."""
    of = random_grid(8, 16)
    x = spread(6, 16)[0]
    (found,) = run(linear(of, dims=["rows", 16]), x)
    same_up_to_ties(found, by_hand(x, of), x, of)


def test_several_texts_at_once() -> None:
    of = random_grid(24, 48, seed=3)
    x = spread(7, 48, batch=5)
    together = run(linear(of), x)[0]
    alone = linear(of, dims=[1, "tokens", "width"])
    for index in range(5):
        np.testing.assert_array_equal(run(alone, x[index : index + 1])[0][0], together[index])


def test_each_token_has_its_own_scale() -> None:
    made = linear(random_grid(16, 32, seed=2))
    x = np.random.default_rng(3).standard_normal((1, 4, 32), dtype=np.float32)
    wild = x.copy()
    wild[0, 2] *= 1e5
    (calm_found,), (wild_found,) = run(made, x), run(made, wild)
    np.testing.assert_array_equal(calm_found[0, [0, 1, 3]], wild_found[0, [0, 1, 3]])


def test_the_bias_is_added() -> None:
    of = random_grid(16, 32)
    bias = np.linspace(-900, 900, 16, dtype=np.float32)
    made = linear(of, bias)
    x = spread(5, 32)
    np.testing.assert_allclose(run(made, x)[0] - run(linear(of), x)[0], bias + 0 * x[..., :1])
    assert kinds(made).count("Add") == 1
    assert "b" not in constants(made)


@pytest.mark.parametrize("activation", [None, "Relu"])
def test_tokens_of_zeros(activation: str | None) -> None:
    of = random_grid(8, 16, seed=4)
    first = [helper.make_node(activation, ["x"], ["a"])] if activation else []
    product = helper.make_node("MatMul", ["a" if activation else "x", "w"], ["y"])
    made = model([*first, product], {"w": stands_for(of).T.copy()})
    onnx_grids.apply(made, {"weight": of})
    x = np.random.default_rng(5).standard_normal((1, 5, 16)).astype(np.float32)
    x[0, 1] = 0.0
    x[0, 3] = -np.abs(x[0, 3])
    (found,) = run(made, x)
    assert np.isfinite(found).all()
    assert (found[0, 1] == 0).all()
    assert (found[..., 2] == 0).all(), "the row of zeros"
    if activation:
        assert (found[0, 3] == 0).all()
    (nothing,) = run(made, np.zeros((1, 3, 16), np.float32))
    assert (nothing == 0).all()


def after(activation: str, of: Grid, factor: Array | None, bias: Array | None) -> onnx.ModelProto:
    """A linear behind an activation function, perhaps scaled."""
    nodes = [helper.make_node(activation, ["x"], ["a"])]
    held: dict[str, NDArray[np.generic]] = {"w": stands_for(of).T.copy()}
    if factor is not None:
        nodes.append(helper.make_node("Mul", ["a", "f"], ["m"]))
        held["f"] = factor
    last = "a" if factor is None else "m"
    nodes.append(helper.make_node("MatMul", [last, "w"], ["p" if bias is not None else "y"]))
    if bias is not None:
        nodes.append(helper.make_node("Add", ["b", "p"], ["y"]))
        held["b"] = bias
    made = model(nodes, held)
    onnx_grids.apply(made, {"weight": of})
    return made


def gelu(x: Array) -> Exact:
    wide = x.astype(np.float64)
    found: Exact = wide * 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
    return found


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_what_is_bounded_below_uses_all_levels(scaled: bool, biased: bool) -> None:
    rng = np.random.default_rng(6)
    of = grid(rng.standard_normal((24, 48), dtype=np.float32))
    factor = rng.uniform(0.2, 3.0, 48).astype(np.float32) if scaled else None
    bias = rng.standard_normal(24).astype(np.float32) if biased else None
    made = after("Gelu", of, factor, bias)
    assert "Abs" not in kinds(made)
    x = rng.standard_normal((1, 11, 48)).astype(np.float32) * 4
    given = (gelu(x) * (1 if factor is None else factor)).astype(np.float32)
    shift = np.float32(-LEAST["Gelu"]) * (np.ones(48, np.float32) if factor is None else factor)
    (found,) = run(made, x)
    plain = found - (0 if bias is None else bias)
    same_up_to_ties(plain, by_hand(given, of, shift), given, of)
    exact = given.astype(np.float64) @ stands_for(of).T
    two_sided = by_hand(given, of)
    assert np.square(plain - exact).sum() < 0.6 * np.square(two_sided - exact).sum()


def test_a_relu_is_not_moved() -> None:
    of = random_grid(8, 16)
    made = after("Relu", of, None, None)
    assert not {"Add", "Abs", "Expand"} & set(kinds(made))
    x = spread(5, 16)
    given = np.maximum(x, 0)
    same_up_to_ties(run(made, x)[0], by_hand(given, of, 0.0), given, of)


@pytest.mark.parametrize("name", sorted(LEAST))
def test_the_bounds_hold(name: str) -> None:
    x = np.linspace(-30, 30, 200_001)
    gate = 1 / (1 + np.exp(-x))
    tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    values = {
        "Gelu": np.minimum(gelu(x.astype(np.float32)), tanh),
        "Relu": np.maximum(x, 0),
        "Sigmoid": gate,
        "Softplus": np.log1p(np.exp(x)),
        "Swish": x * gate,
    }
    least = values[name].min()
    assert LEAST[name] <= least < LEAST[name] + 1e-3


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Tanh", ["x"], ["a"])],
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Mul", ["r", "x"], ["a"])],
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Mul", ["r", "minus"], ["a"])],
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "minus"], ["a"])],
    ],
    ids=["tanh", "product", "negative factor", "sum"],
)
def test_what_has_no_bound_is_two_sided(nodes: list[onnx.NodeProto]) -> None:
    of = random_grid(4, 8)
    product = helper.make_node("MatMul", ["a", "w"], ["y"])
    held = {"w": stands_for(of).T.copy(), "minus": np.array(-1, np.float32)}
    made = model([*nodes, product], held)
    onnx_grids.apply(made, {"weight": of})
    assert "Abs" in kinds(made)
    x = np.random.default_rng(1).standard_normal((1, 4, 8), dtype=np.float32)
    given = {
        "Tanh": np.tanh(x),
        "Mul": np.maximum(x, 0) * (x if "x" in nodes[-1].input else -1),
        "Add": np.maximum(x, 0) - 1,
    }[nodes[-1].op_type].astype(np.float32)
    same_up_to_ties(run(made, x)[0], by_hand(given, of), given, of)


def test_readers_of_one_activation_are_one_product() -> None:
    grids = {name: random_grid(n, 16, seed=n) for name, n in (("a", 4), ("b", 6), ("c", 5))}
    bias = np.arange(6, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "wa"], ["y"]),
        helper.make_node("MatMul", ["x", "wb"], ["p"]),
        helper.make_node("Add", ["p", "bias"], ["z"]),
        helper.make_node("MatMul", ["x", "wc"], ["u"]),
    ]
    held = {f"w{name}": stands_for(of).T.copy() for name, of in grids.items()} | {"bias": bias}
    made = model(nodes, held, outputs=("y", "z", "u"))
    onnx_grids.apply(made, grids)
    assert kinds(made).count("QuantizeLinear") == kinds(made).count("MatMulIntegerToFloat") == 1
    x = spread(5, 16)
    y, z, u = run(made, x)
    for found, name in ((y, "a"), (z - bias, "b"), (u, "c")):
        same_up_to_ties(found, by_hand(x, grids[name]), x, grids[name])


def test_integers_are_the_grid_s() -> None:
    grids = {name: random_grid(n, 16, seed=n) for name, n in (("a", 4), ("b", 6))}
    nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"]) for name in grids]
    held = {f"w{name}": stands_for(of).T.copy() for name, of in grids.items()}
    made = model(nodes, held, outputs=("ya", "yb"))
    onnx_grids.apply(made, grids)
    stored = constants(made)
    np.testing.assert_array_equal(stored["a+b.int8"][:, :4], grids["a"].values.numpy().T)
    np.testing.assert_array_equal(stored["a+b.int8"][:, 4:], grids["b"].values.numpy().T)
    np.testing.assert_array_equal(
        stored["a+b.int8.scale"],
        np.concatenate([of.scales.numpy().ravel() for of in grids.values()]),
    )
