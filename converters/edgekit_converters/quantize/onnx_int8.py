"""Dynamic int8 linears in ONNX: one scale for each token, computed at run time.

ONNX Runtime's own dynamic quantization gives a whole tensor of activations one scale, so that one
outlying token takes the resolution of all the others. Here each token ``x`` has a scale ``s``::

    q = round((x + d) / s) + z              uint8
    x W = s * (q - z) Wq * w - d Wq * w

``Wq`` are the grid's integers and ``w`` its scales, one for each output channel. Where ``x`` comes
out of an activation function with a least value, ``d`` is its negative: then ``x + d`` has one sign
and all 256 levels are used (``z = 0``), and the last term is a constant row that joins the bias.
Elsewhere ``d = 0`` and ``z = 128``.

What is fast was measured (docs/adr/0010): few passes over the data. ``QuantizeLinear`` along the
token axis divides and rounds in one pass, ``MatMulIntegerToFloat`` multiplies by ``w`` while it
writes, and linears that read the same activation are one product.

A grid with ranges (``int8-static``) has one ``s`` and ``z`` for all tokens instead, known before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit_converters.quantize.activations import affine
from edgekit_converters.quantize.onnx_graph import CONTRIB, Array, Draft
from edgekit_converters.quantize.onnx_match import Linear

# The least that an activation function gives; a little below, for both forms of gelu.
LEAST = {"Gelu": -0.1701, "Relu": 0.0, "Sigmoid": 0.0, "Softplus": 0.0, "Swish": -0.2785}

_CENTRE = 128
# A token of zeros has no scale of its own.
_SMALLEST = 1e-30


@dataclass(frozen=True)
class Tokens:
    """A quantized activation.

    Attributes:
        values: uint8, shaped like the activation.
        scale: one for each token, broadcastable to it.
        zero: name of the zero point's constant, ``""`` for 0.
        shift: ``d`` of the module's description, ``(inputs,)``; None for 0.
    """

    values: str
    scale: str
    zero: str
    shift: Array | None


class Dynamic:
    """Writes linears in the dynamic form into a draft; remembers what is quantized already."""

    def __init__(self, draft: Draft) -> None:
        """Write into ``draft``."""
        self._draft = draft
        self._tokens: dict[str, Tokens] = {}
        self._centres: dict[object, str] = {}
        self._fixed: dict[str, str] = {}

    def write(self, linears: Sequence[Linear], packed: str, output: str) -> None:
        """One product for linears that read the same activation.

        Args:
            linears: their grids have 8 bits and one scale a row.
            packed: name of the int8 constant ``(inputs, outputs of all)``.
            output: name of the value to make, biases included.
        """
        if linears[0].grid.ranges is not None:
            self._write_static(linears, packed, output)
            return
        draft, tokens = self._draft, self._activation(linears[0].source)
        columns = np.concatenate([linear.grid.scales.numpy().ravel() for linear in linears])
        scales = draft.const(f"{packed}.scale", columns)
        row = np.concatenate([_row(linear, tokens.shift) for linear in linears])
        one = draft.floats(1.0)
        floats = draft.add(
            "MatMulIntegerToFloat",
            [tokens.values, packed, one, scales, *([tokens.zero] if tokens.zero else [])],
            f"{output}.columns",
            domain=CONTRIB,
        )
        if row.any():
            scaled = draft.add("Mul", [floats, tokens.scale], f"{output}.product")
            draft.add("Add", [scaled, draft.const(f"{output}.bias", row)], output)
        else:
            draft.add("Mul", [floats, tokens.scale], output)

    def _write_static(self, linears: Sequence[Linear], packed: str, output: str) -> None:
        """The same with one scale for all activations, which calibration chose: two operators."""
        draft, source = self._draft, linears[0].source
        ranges = linears[0].grid.ranges
        assert ranges is not None
        low, high = ranges[:2].tolist()
        step, zero = affine(low, high)
        scale = draft.floats(step)
        centre = draft.const(f"{source}.zero", np.array(zero + _CENTRE, np.uint8))
        if source not in self._fixed:
            self._fixed[source] = draft.add(
                "QuantizeLinear", [source, scale, centre], f"{source}.fixed"
            )
        columns = np.concatenate([linear.grid.scales.numpy().ravel() for linear in linears])
        scales = draft.const(f"{packed}.scale", columns)
        inputs = [self._fixed[source], packed, scale, scales, centre]
        row = np.concatenate([_row(linear, None) for linear in linears])
        if row.any():
            inputs += ["", draft.const(f"{output}.bias", row)]
        draft.add("MatMulIntegerToFloat", inputs, output, domain=CONTRIB)

    def _activation(self, source: str) -> Tokens:
        """Quantize a value, once for all that read it."""
        if source not in self._tokens:
            self._tokens[source] = self._quantize(source)
        return self._tokens[source]

    def _quantize(self, source: str) -> Tokens:
        draft, value = self._draft, source
        least = least_of(draft, source)
        if least is None:
            size = draft.add("Abs", [source], f"{source}.size")
            levels = _CENTRE - 1
        else:
            if least.any():
                value = draft.add(
                    "Add", [source, draft.const(f"{source}.least", -least)], f"{source}.shifted"
                )
            size, levels = value, 255
        last = draft.integers(-1)
        peak = draft.add("ReduceMax", [size, last], f"{source}.peak", keepdims=1)
        step = draft.add("Mul", [peak, draft.floats(1 / levels)], f"{source}.step")
        scale = draft.add("Max", [step, draft.floats(_SMALLEST)], f"{source}.scale")
        zero = "" if least is not None else self._zero()
        values = self._round(source, value, scale, centred=least is None)
        shift = -least if least is not None and least.any() else None
        return Tokens(values, scale, zero, shift)

    def _zero(self) -> str:
        return self._draft.const("edgekit.centre", np.array(_CENTRE, np.uint8))

    def _round(self, source: str, value: str, scale: str, *, centred: bool) -> str:
        """``QuantizeLinear`` with a scale for each token, which wants the scales as a list."""
        draft, sizes = self._draft, self._draft.dims(source)
        flat = draft.add("Reshape", [scale, draft.integers(-1)], f"{source}.scales")
        inputs = [flat, self._list_of_centres(sizes, flat)] if centred else [flat]
        if sizes is not None and len(sizes) > 1 and all(size == 1 for size in sizes[:-2]):
            axis = len(sizes) - 2
            return draft.add("QuantizeLinear", [value, *inputs], f"{source}.uint8", axis=axis)
        # Several token axes, or nobody knows: one list of tokens, and back.
        shape = draft.add("Shape", [value], f"{source}.sizes")
        width = draft.add("Shape", [value], f"{source}.width", start=-1)
        rows = draft.add("Concat", [draft.integers(-1), width], f"{source}.list", axis=0)
        listed = draft.add("Reshape", [value, rows], f"{source}.tokens")
        rounded = draft.add("QuantizeLinear", [listed, *inputs], f"{source}.listed", axis=0)
        return draft.add("Reshape", [rounded, shape], f"{source}.uint8")

    def _list_of_centres(self, sizes: tuple[int | str, ...] | None, flat: str) -> str:
        """Zero points, as many as there are scales: one list for all values of the same length."""
        key: object = sizes[:-1] if sizes is not None and all(sizes) else flat
        if key not in self._centres:
            draft = self._draft
            count = draft.add("Shape", [flat], f"{flat}.count")
            centre = draft.const("edgekit.centres", np.array([_CENTRE], np.uint8))
            self._centres[key] = draft.add("Expand", [centre, count], f"{flat}.centres")
        return self._centres[key]


def least_of(draft: Draft, name: str) -> Array | None:
    """The least value of each channel, ``(inputs,)`` or a scalar; None where there is no bound.

    Follows a product with constant factors back to an activation function.
    """
    factor: Array = np.ones((), np.float32)
    node: onnx.NodeProto | None = draft.producers.get(name)
    while node is not None and node.op_type == "Mul":
        constants = [draft.constant(value) for value in node.input]
        factors = [found.astype(np.float32) for found in constants if found is not None]
        if len(factors) != 1 or factors[0].ndim > 1 or (factors[0] < 0).any():
            return None
        factor = factor * factors[0]
        named = zip(node.input, constants, strict=True)
        node = draft.producers.get(next(name for name, held in named if held is None))
    if node is None or node.op_type not in LEAST:
        return None
    return (LEAST[node.op_type] * factor).astype(np.float32)


def _row(linear: Linear, shift: Array | None) -> Array:
    """The bias, with what the shift of the activation takes away."""
    outputs = linear.grid.values.shape[0]
    row = np.zeros(outputs) if linear.bias is None else linear.bias.astype(np.float64)
    if shift is not None:
        weight = linear.grid.dequantized().numpy().astype(np.float64)
        row = row - weight @ np.broadcast_to(shift, weight.shape[1]).astype(np.float64)
    return row.astype(np.float32)
