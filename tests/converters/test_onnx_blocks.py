"""Grids in blocks: the stored integers are the grid's, and the operators read them as such."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgekit.errors import Unsupported
from edgekit_converters.quantize import onnx_blocks, onnx_grids
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.rounding import nearest
from tests.support.onnx_graphs import (
    Array,
    constants,
    kinds,
    model,
    random_grid,
    run,
    stands_for,
)
from tests.support.refusals import refused


def unpacked(blob: NDArray[np.generic], bits: int, columns: int) -> NDArray[np.int64]:
    """Integers from ``(rows, blocks, bytes)``, read bit by bit: the lowest come first."""
    rows = blob.reshape(blob.shape[0], -1)
    stream = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
    fields = stream.reshape(rows.shape[0], -1, bits)
    weights = 2 ** np.arange(bits)
    found: NDArray[np.int64] = (fields * weights).sum(axis=2)[:, :columns] - 2 ** (bits - 1)
    return found


def linear(of: Grid, bias: Array | None = None) -> onnx.ModelProto:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y" if bias is None else "p"])]
    held = {"w": stands_for(of).T.copy()}
    if bias is not None:
        nodes.append(helper.make_node("Add", ["p", "b"], ["y"]))
        held["b"] = bias
    made = model(nodes, held)
    onnx_grids.apply(made, {"weight": of})
    return made


def attributes(made: onnx.ModelProto, kind: str) -> dict[str, int]:
    (node,) = [node for node in made.graph.node if node.op_type == kind]
    return {attribute.name: attribute.i for attribute in node.attribute}


def by_hand(x: Array, of: Grid, block: int) -> NDArray[np.float64]:
    """Activations rounded to int8, one scale for each token and block."""
    width = x.shape[-1]
    filled = np.zeros((*x.shape[:-1], -(-width // block) * block))
    filled[..., :width] = x
    parts = filled.reshape(*x.shape[:-1], -1, block)
    step = np.maximum(np.abs(parts).max(-1, keepdims=True) / 127, 1e-30)
    rounded = (np.round(parts / step) * step).reshape(filled.shape)[..., :width]
    found: NDArray[np.float64] = rounded @ stands_for(of).astype(np.float64).T
    return found


def magnitudes(x: Array, of: Grid) -> NDArray[np.float64]:
    """What float32 sums round in proportion to."""
    found: NDArray[np.float64] = np.abs(x).astype(np.float64) @ np.abs(stands_for(of)).T
    return found + 1e-6


# Widths that blocks divide and that they do not, odd ones, and one below the smallest block.
@pytest.mark.parametrize("width", [128, 384, 96, 50, 37, 7])
@pytest.mark.parametrize(("bits", "group"), [(8, 32), (8, 128), (4, 16), (4, 32), (4, 64), (4, 0)])
def test_a_linear(bits: int, group: int, width: int) -> None:
    of = random_grid(24, width, bits, group)
    made = linear(of)
    if bits == 8 and of.per_row:
        assert "MatMulNBits" not in kinds(made), "one scale a row at 8 bits has a faster form"
        return
    assert kinds(made) == ["MatMulNBits"]
    found = attributes(made, "MatMulNBits")
    assert (found["K"], found["N"], found["bits"]) == (width, 24, bits)
    assert found["accuracy_level"] == 4
    np.testing.assert_array_equal(
        unpacked(constants(made)["weight.blocks"], bits, width), of.values.numpy()
    )
    x = np.random.default_rng(1).standard_normal((2, 5, width), dtype=np.float32)
    error = np.abs(run(made, x)[0] - by_hand(x, of, found["block_size"]))
    one_step = np.abs(x).max() / 127 * np.abs(stands_for(of)).max(axis=1)
    assert (error <= 1.01 * one_step + 1e-9).all()
    assert (error <= 1e-5 * magnitudes(x, of)).mean() > 0.97


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_alone_are_exact(bits: int) -> None:
    """With activations that int8 holds exactly there is no other error."""
    of = random_grid(16, 100, bits, 32)
    x = np.random.default_rng(2).integers(-127, 128, (1, 6, 100)).astype(np.float32)
    x[..., ::16] = 127.0
    wanted = x.astype(np.float64) @ stands_for(of).astype(np.float64).T
    assert (np.abs(run(linear(of), x)[0] - wanted) <= 1e-5 * magnitudes(x, of)).all()


def test_the_bias_joins_the_operator() -> None:
    of = random_grid(16, 64, 4, 32)
    bias = np.linspace(-900, 900, 16, dtype=np.float32)
    made = linear(of, bias)
    assert kinds(made) == ["MatMulNBits"]
    x = np.random.default_rng(3).standard_normal((1, 4, 64), dtype=np.float32)
    difference = run(made, x)[0] - run(linear(of), x)[0]
    np.testing.assert_allclose(difference, bias + 0 * x[..., :1], rtol=1e-4)


@pytest.mark.parametrize(
    ("group", "block"), [(16, 16), (48, 16), (96, 32), (192, 64), (256, 256), (512, 256)]
)
def test_a_group_is_one_block_or_several(group: int, block: int) -> None:
    of = random_grid(8, 1024, 4, group)
    made = linear(of)
    assert attributes(made, "MatMulNBits")["block_size"] == block
    scales = constants(made)["weight.blocks.scale"]
    for index in range(1024 // block):
        wanted = of.scales.numpy()[:, index * block // group]
        np.testing.assert_array_equal(scales[:, index], wanted)
    x = np.random.default_rng(2).integers(-127, 128, (1, 6, 1024)).astype(np.float32)
    x[..., ::16] = 127.0
    wanted = x.astype(np.float64) @ stands_for(of).astype(np.float64).T
    assert (np.abs(run(made, x)[0] - wanted) <= 1e-5 * magnitudes(x, of)).all()


def test_one_scale_a_row_takes_a_block_no_wider_than_needed() -> None:
    for width, block in ((7, 16), (64, 64), (65, 128), (1000, 128)):
        assert onnx_blocks.block_of("w", random_grid(4, width, 4)) == block


def test_a_group_without_a_kernel_is_refused() -> None:
    of = random_grid(8, 72, 4, 24)
    error = refused(Unsupported, 78, "weight: a group of 24", lambda: linear(of))
    assert "16" in error.hint


def test_readers_of_one_activation_are_one_product() -> None:
    grids = {name: random_grid(n, 64, 4, 32, seed=n) for name, n in (("a", 4), ("b", 6))}
    nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"]) for name in grids]
    held = {f"w{name}": stands_for(of).T.copy() for name, of in grids.items()}
    made = model(nodes, held, outputs=("ya", "yb"))
    onnx_grids.apply(made, grids)
    assert kinds(made) == ["MatMulNBits", "Split"]
    both = unpacked(constants(made)["a+b.blocks"], 4, 64)
    np.testing.assert_array_equal(both[:4], grids["a"].values.numpy())
    np.testing.assert_array_equal(both[4:], grids["b"].values.numpy())
    x = np.random.default_rng(3).standard_normal((1, 4, 64), dtype=np.float32)
    for found, name in zip(run(made, x), grids, strict=True):
        np.testing.assert_array_equal(found, run(linear(grids[name]), x)[0])


@pytest.mark.parametrize("width", [64, 384, 50, 37, 7])
@pytest.mark.parametrize(("bits", "group"), [(8, 32), (4, 32), (4, 16), (4, 0), (2, 32), (2, 0)])
def test_a_table(bits: int, group: int, width: int) -> None:
    of = random_grid(40, width, bits, group)
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    made = model([node], {"table": stands_for(of)}, source=TensorProto.INT64)
    onnx_grids.apply(made, {"weight": of})
    if bits == 8 and of.per_row:
        assert "GatherBlockQuantized" not in kinds(made)
        return
    np.testing.assert_array_equal(
        unpacked(constants(made)["weight.blocks"], bits, width), of.values.numpy()
    )
    ids = np.random.default_rng(0).permutation(40).reshape(2, 20)
    np.testing.assert_array_equal(run(made, ids)[0], stands_for(of)[ids])


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 64), (2, 32)])
def test_scales_of_a_table_take_two_bytes_where_that_is_exact(bits: int, group: int) -> None:
    weight = torch.randn(40, 128, generator=torch.Generator().manual_seed(0))
    weight[2] = 0.0
    of = nearest.fit_table(weight, bits, group, torch.bfloat16)
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    made = model([node], {"table": stands_for(of)}, source=TensorProto.INT64)
    (stored,) = onnx_grids.apply(made, {"weight": of})
    assert constants(made)["weight.blocks.scale"].dtype == np.float16
    assert stored.bytes_after == 40 * 128 * bits // 8 + 40 * (128 // group) * 2
    ids = np.random.default_rng(0).permutation(40).reshape(2, 20)
    np.testing.assert_array_equal(run(made, ids)[0], stands_for(of)[ids])
