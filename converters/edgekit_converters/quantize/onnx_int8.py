"""Dynamic int8 inside an ONNX graph, activations per token, in standard operators.

ONNX Runtime's own dynamic quantization gives a whole tensor of activations one scale, so that one
outlying token takes the resolution of all the others. Here each token ``x`` has its own scale ``s``
and, where an activation function makes the range one-sided, its own centre ``c``::

    q = round((x - c) / s)            int8, zero point 128
    x W = s * (q Wq) * w + c * sum(Wq * w)

``Wq`` is the weight rounded per output channel with scales ``w``; the last term is a constant row.
Tables are int8 with a scale for each row, looked up beside it. The grid is the one of the ``.pte``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit_converters.quantize.embedding import SMALLEST_TABLE

Array = NDArray[np.float32]

# Activation functions whose output lies (nearly) on one side of zero.
ONE_SIDED = frozenset({"Gelu", "Relu", "Sigmoid", "Softplus", "Swish"})

_LEVELS = 127
_SMALLEST = 1e-9


@dataclass
class _Rewrite:
    """The new graph while it is made."""

    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    quantized: dict[str, bool] = field(default_factory=dict)
    linears: list[tuple[int, int]] = field(default_factory=list)
    tables: list[tuple[int, int]] = field(default_factory=list)

    def const(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


@dataclass(frozen=True)
class Sizes:
    """Bytes before and after, one pair a tensor."""

    linears: list[tuple[int, int]]
    tables: list[tuple[int, int]]


def apply(model: onnx.ModelProto) -> Sizes:
    """Quantize constant-weight MatMuls and large tables in place."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    rewrite = _Rewrite()
    for node in graph.node:
        place = 1 if node.op_type == "MatMul" else 0
        constant = weights.get(node.input[place]) if len(node.input) > place else None
        if node.op_type == "MatMul" and constant is not None and len(constant.dims) == 2:
            _linear(rewrite, node, constant, _one_sided(node.input[0], producers, weights))
        elif node.op_type == "Gather" and constant is not None and _is_large(constant):
            _table(rewrite, node, constant)
        else:
            rewrite.nodes.append(node)
    still_read = {name for node in rewrite.nodes for name in node.input}
    kept = [tensor for name, tensor in weights.items() if name in still_read]
    del graph.node[:]
    graph.node.extend(rewrite.nodes)
    del graph.initializer[:]
    graph.initializer.extend([*kept, *rewrite.constants.values()])
    return Sizes(rewrite.linears, rewrite.tables)


def _is_large(tensor: onnx.TensorProto) -> bool:
    elements = int(np.prod(tensor.dims))
    return tensor.data_type == TensorProto.FLOAT and 4 * elements >= SMALLEST_TABLE


def _one_sided(
    name: str, producers: dict[str, onnx.NodeProto], weights: dict[str, onnx.TensorProto]
) -> bool:
    """Whether a value comes out of such an activation, perhaps scaled by a constant."""
    node = producers.get(name)
    while node is not None and node.op_type == "Mul" and any(i in weights for i in node.input):
        name = next(i for i in node.input if i not in weights)
        node = producers.get(name)
    return node is not None and node.op_type in ONE_SIDED


def _per_column(weight: Array) -> tuple[NDArray[np.int8], Array]:
    scale = np.maximum(np.abs(weight).max(axis=0) / _LEVELS, 1e-12).astype(np.float32)
    values = np.clip(np.round(weight / scale), -_LEVELS, _LEVELS).astype(np.int8)
    return values, scale


def _linear(
    rewrite: _Rewrite, node: onnx.NodeProto, tensor: onnx.TensorProto, centred: bool
) -> None:
    weight = numpy_helper.to_array(tensor)
    values, scale = _per_column(weight)
    source, output = node.input[0], node.output[0]
    _activation(rewrite, source, centred)
    packed = rewrite.const(f"{tensor.name}.int8", values)
    columns = rewrite.const(f"{tensor.name}.scale", scale)
    zero = rewrite.const("edgekit.zero_point", np.array(128, dtype=np.uint8))
    counts = rewrite.add("MatMulInteger", [f"{source}.int8", packed, zero], f"{output}.int32")
    floats = rewrite.add("Cast", [counts], f"{output}.counts", to=TensorProto.FLOAT)
    scaled = rewrite.add("Mul", [floats, columns], f"{output}.columns")
    if centred:
        scaled = rewrite.add("Mul", [scaled, f"{source}.scale"], f"{output}.centred")
        sums = (values.astype(np.float64) * scale).sum(axis=0).astype(np.float32)
        row = rewrite.const(f"{tensor.name}.sums", sums)
        shift = rewrite.add("Mul", [f"{source}.centre", row], f"{output}.shift")
        rewrite.add("Add", [scaled, shift], output)
    else:
        rewrite.add("Mul", [scaled, f"{source}.scale"], output)
    rewrite.linears.append((weight.nbytes, values.nbytes + scale.nbytes))


def _activation(rewrite: _Rewrite, source: str, centred: bool) -> None:
    """Quantize a value once, whoever reads it: ``.int8``, ``.scale`` and perhaps ``.centre``."""
    if source in rewrite.quantized:
        return
    rewrite.quantized[source] = True
    axes = rewrite.const("edgekit.last_axis", np.array([-1], dtype=np.int64))
    tiny = rewrite.const("edgekit.tiny", np.array(_SMALLEST, dtype=np.float32))
    one = rewrite.const("edgekit.one", np.array(1, dtype=np.float32))
    zero = rewrite.const("edgekit.zero_point", np.array(128, dtype=np.uint8))
    value = source
    if centred:
        high = rewrite.add("ReduceMax", [source, axes], f"{source}.high", keepdims=1)
        low = rewrite.add("ReduceMin", [source, axes], f"{source}.low", keepdims=1)
        both = rewrite.add("Add", [high, low], f"{source}.both")
        half = rewrite.const("edgekit.half", np.array(0.5, dtype=np.float32))
        centre = rewrite.add("Mul", [both, half], f"{source}.centre")
        value = rewrite.add("Sub", [source, centre], f"{source}.moved")
        peak = rewrite.add("Sub", [high, centre], f"{source}.peak")
    else:
        size = rewrite.add("Abs", [source], f"{source}.abs")
        peak = rewrite.add("ReduceMax", [size, axes], f"{source}.peak", keepdims=1)
    step = rewrite.const("edgekit.step", np.array(1 / _LEVELS, dtype=np.float32))
    raw = rewrite.add("Mul", [peak, step], f"{source}.raw_scale")
    scale = rewrite.add("Max", [raw, tiny], f"{source}.scale")
    divided = rewrite.add("Div", [value, scale], f"{source}.divided")
    rewrite.add("QuantizeLinear", [divided, one, zero], f"{source}.int8")


def _table(rewrite: _Rewrite, node: onnx.NodeProto, tensor: onnx.TensorProto) -> None:
    table = numpy_helper.to_array(tensor)
    flat, scale = _per_column(np.ascontiguousarray(table.T))
    values = np.ascontiguousarray(flat.T)
    ids, output = node.input[1], node.output[0]
    packed = rewrite.const(f"{tensor.name}.int8", values)
    scales = rewrite.const(f"{tensor.name}.scale", scale[:, None])
    rows = rewrite.add("Gather", [packed, ids], f"{output}.rows")
    floats = rewrite.add("Cast", [rows], f"{output}.floats", to=TensorProto.FLOAT)
    factor = rewrite.add("Gather", [scales, ids], f"{output}.factor")
    rewrite.add("Mul", [floats, factor], output)
    rewrite.tables.append((table.nbytes, values.nbytes + scale.nbytes))
