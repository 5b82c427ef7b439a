"""Find the nodes of an ONNX graph that read a weight on a grid.

An exporter renames constants, transposes them and drops duplicates, so names lead nowhere. The edge
graph's own constant is exactly what its grid stands for: the bytes are what is compared.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekit.errors import InternalError
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.onnx_graph import Array, Draft, attribute


@dataclass(frozen=True)
class Linear:
    """A product with a weight on a grid, and the bias added to it.

    Attributes:
        name: of the grid.
        grid: the weight, ``(outputs, inputs)``.
        source: the value that is multiplied.
        output: the value that is made, bias included.
        bias: float32 ``(outputs,)``; None without.
        nodes: the old nodes that this stands for.
    """

    name: str
    grid: Grid
    source: str
    output: str
    bias: Array | None
    nodes: tuple[onnx.NodeProto, ...]


@dataclass(frozen=True)
class Lookup:
    """A table on a grid: ``output = table[ids]``."""

    name: str
    grid: Grid
    ids: str
    output: str
    nodes: tuple[onnx.NodeProto, ...]


@dataclass(frozen=True)
class Found:
    """Every use of the grids, in the order of the graph's nodes.

    Attributes:
        linears: products.
        lookups: tables read by ids.
        first: of several names for the same weight the one that uses go by, itself included.
    """

    linears: tuple[Linear, ...]
    lookups: tuple[Lookup, ...]
    first: Mapping[str, str]


def find(draft: Draft, grids: Mapping[str, Grid]) -> Found:
    """Match each grid with the nodes that read its weight.

    Raises:
        InternalError: a grid that no node reads; it is named.
    """
    names = _by_digest(grids)
    first = {name: same[0] for same in names.values() for name in same}
    weights = dict(_weights(draft, names))
    linears: list[Linear] = []
    lookups: list[Lookup] = []
    for node in draft.nodes:
        name = weights.get(id(node))
        if name is None:
            continue
        if node.op_type == "Gather":
            lookups.append(Lookup(name, grids[name], node.input[1], node.output[0], (node,)))
        else:
            linears.append(_linear(draft, node, name, grids[name]))
    used = {linear.name for linear in linears} | {lookup.name for lookup in lookups}
    missing = sorted(name for name in grids if first[name] not in used)
    if missing:
        raise InternalError(f"quantized weights that the ONNX graph does not read: {missing}")
    return Found(tuple(linears), tuple(lookups), first)


def _by_digest(grids: Mapping[str, Grid]) -> dict[bytes, list[str]]:
    """Grids by their weight's bytes; several names share a tied weight."""
    names: dict[bytes, list[str]] = defaultdict(list)
    for name, grid in grids.items():
        names[_digest(grid.dequantized().numpy())].append(name)
    return names


def _weights(draft: Draft, names: Mapping[bytes, list[str]]) -> Iterator[tuple[int, str]]:
    """Identity of each node that multiplies by a grid's weight or looks it up, and the grid."""
    for name, stored in draft.matrices():
        seen: dict[bool, list[str]] = {}
        for node, flipped in _readers(draft, name):
            if flipped not in seen:
                seen[flipped] = names.get(_digest(stored.T if flipped else stored), [])
            if seen[flipped]:
                yield id(node), seen[flipped][0]


def _readers(draft: Draft, name: str) -> Iterator[tuple[onnx.NodeProto, bool]]:
    """Nodes that could be a use of a constant, and whether its transpose is the weight."""
    for node in draft.readers[name]:
        place = list(node.input).index(name)
        if node.op_type == "Transpose" and attribute(node, "perm", None) in (None, [1, 0]):
            yield from ((reader, not flip) for reader, flip in _readers(draft, node.output[0]))
        elif node.op_type == "Gather" and place == 0 and attribute(node, "axis", 0) == 0:
            yield node, False
        elif node.op_type == "MatMul" and place == 1:
            yield node, True
        elif node.op_type == "Gemm" and place == 1 and _plain_gemm(draft, node):
            yield node, not attribute(node, "transB", 0)


def _plain_gemm(draft: Draft, node: onnx.NodeProto) -> bool:
    """Whether it is a product, perhaps with a constant row added."""
    factors = [attribute(node, name, 1.0) for name in ("alpha", "beta")]
    if factors != [1.0, 1.0] or attribute(node, "transA", 0):
        return False
    return not _added(node) or draft.row(_added(node)) is not None


def _added(node: onnx.NodeProto) -> str:
    """Name of what a Gemm adds; empty for nothing."""
    return node.input[2] if len(node.input) > 2 else ""


def _linear(draft: Draft, node: onnx.NodeProto, name: str, grid: Grid) -> Linear:
    outputs = grid.values.shape[0]
    if node.op_type == "Gemm":
        row = draft.row(_added(node))
        bias = None if row is None else np.broadcast_to(row, outputs)
        return Linear(name, grid, node.input[0], node.output[0], bias, (node,))
    adder = draft.reads_only(node.output[0])
    if adder is not None and adder.op_type == "Add":
        row = draft.row(next((i for i in adder.input if i != node.output[0]), ""))
        if row is not None and row.size == outputs:
            return Linear(name, grid, node.input[0], adder.output[0], row, (node, adder))
    return Linear(name, grid, node.input[0], node.output[0], None, (node,))


def _digest(weight: NDArray[np.generic]) -> bytes:
    found = hashlib.sha256(repr(weight.shape).encode())
    found.update(np.ascontiguousarray(weight).data)
    return found.digest()
