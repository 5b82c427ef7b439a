"""Small ONNX graphs and grids for tests of what is written into an ``.onnx``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.runtime.onnx import library
from edgekit_converters.quantize.grid import Grid, highest, lowest

Array = NDArray[np.float32]


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, NDArray[np.generic]],
    outputs: Sequence[str] = ("y",),
    source: int = TensorProto.FLOAT,
    dims: Sequence[int | str] | None = None,
) -> onnx.ModelProto:
    """A graph with one input ``x``: ``(batch, tokens, width)`` unless told; ids lack the width."""
    shape = dims or ["batch", "tokens", *([] if source == TensorProto.INT64 else ["width"])]
    free = [f"d{i}" for i in range(len(shape) + (source == TensorProto.INT64))]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", source, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, free) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def run(of: onnx.ModelProto, x: NDArray[np.generic]) -> list[Array]:
    """All outputs, as ONNX Runtime gives them."""
    onnx.checker.check_model(of)
    session = library().InferenceSession(of.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, {"x": x})
    return found


def kinds(of: onnx.ModelProto) -> list[str]:
    """Operators in order."""
    return [node.op_type for node in of.graph.node]


def constants(of: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Every stored tensor."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in of.graph.initializer}


def grid(weight: Array, bits: int = 8, group: int = 0) -> Grid:
    """Round to nearest: one scale a row, or one for each ``group`` columns."""
    rows, columns = weight.shape
    width = group or columns
    count = -(-columns // width)
    filled = np.zeros((rows, count * width), np.float32)
    filled[:, :columns] = weight
    parts = filled.reshape(rows, count, width)
    scales = np.maximum(np.abs(parts).max(axis=2) / highest(bits), 1e-12).astype(np.float32)
    values = np.clip(np.round(parts / scales[..., None]), lowest(bits), highest(bits))
    return Grid(
        torch.from_numpy(values.reshape(rows, -1)[:, :columns].astype(np.int8)),
        torch.from_numpy(scales),
        bits,
        width,
    )


def stands_for(of: Grid) -> Array:
    """The weight that a grid stands for, ``(rows, columns)``."""
    found: Array = of.dequantized().numpy()
    return found


def random_grid(rows: int, columns: int, bits: int = 8, group: int = 0, seed: int = 0) -> Grid:
    """A grid of rows whose sizes are far apart; the third row is all zeros."""
    weight = np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32)
    weight *= np.logspace(-3, 3, rows, dtype=np.float32)[:, None]
    weight[2:3] = 0.0
    return grid(weight, bits, group)


def spread(tokens: int, width: int, seed: int = 0, batch: int = 1) -> Array:
    """Random tokens whose sizes are far apart."""
    rng = np.random.default_rng(seed)
    sizes = np.logspace(-4, 3, tokens)[None, :, None]
    return (rng.standard_normal((batch, tokens, width)) * sizes).astype(np.float32)
