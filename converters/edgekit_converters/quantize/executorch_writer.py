"""Write calibrated integers into a graph as the operators that ExecuTorch runs.

Linears get the patterns that XNNPACK's partitioner takes whole: activations quantized for each
token at run time, or read and given on fixed grids; weights as constants with their scales. Tables
are looked up by ExecuTorch's own operators. Both are written straight away; leaving them to be
found by pattern matching later is how a table with a padding index stays fp32 without a word.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit.errors import InternalError
from edgekit_converters.graph.parameters import add_constant, call, constant, free_name
from edgekit_converters.quantize.activations import affine
from edgekit_converters.quantize.grid import Grid, highest, lowest

_aten = torch.ops.aten
_LOW, _HIGH = -128, 127


def apply(graph_module: GraphModule, grids: Mapping[str, Grid]) -> None:
    """Replace every use of a calibrated tensor, in place.

    Args:
        graph_module: the edge graph; its constants named in ``grids`` hold ``dequantized()``.
        grids: by the graph's name of the tensor.

    Raises:
        InternalError: a scale is not finite, a tensor is no longer what its integers stand for, or
            no linear or lookup uses it, so that its integers would be missing from the artifact.
    """
    unsound = [name for name, grid in grids.items() if not torch.isfinite(grid.scales).all()]
    if unsound:
        raise InternalError(f"scales that are not finite numbers: {', '.join(unsound)}")
    # Importing registers the quantized_decomposed operators.
    import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401

    twins = _twins(graph_module, grids)
    written: set[str] = set()
    held: dict[tuple[str, str], tuple[str, ...]] = {}
    read: dict[object, Node] = {}
    for node in list(graph_module.graph.nodes):
        kind, place = _USES.get(node.target, ("", 0)) if node.op == "call_function" else ("", 0)
        weight = node.args[place] if kind else None
        name = str(weight.target) if isinstance(weight, Node) and weight.op == "get_attr" else ""
        value = constant(graph_module, weight) if name in grids else None
        if value is None:
            continue
        if name not in written and not torch.allclose(value, grids[name].dequantized(), rtol=1e-4):
            raise InternalError(f"changed after its integers were chosen: {name}")
        if kind == "linear":
            grid = grids[name]
            if name in twins:
                grid = _turned(graph_module, node, grid)
            _linear(graph_module, node, name, grid, held, read)
        else:
            _lookup(graph_module, node, name, grids[name], held)
        written.add(name)
    missing = sorted(set(grids) - written)
    if missing:
        raise InternalError(f"calibrated, but used by no operator: {', '.join(missing)}")
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()


_USES = {_aten.linear.default: ("linear", 1), _aten.embedding.default: ("table", 0)}


def _twins(graph_module: GraphModule, grids: Mapping[str, Grid]) -> set[str]:
    """Linears of 4 bits on the integers of a table: what may be stored once."""
    tables: set[str] = set()
    linears: set[str] = set()
    for node in graph_module.graph.nodes:
        kind, place = _USES.get(node.target, ("", 0)) if node.op == "call_function" else ("", 0)
        weight = node.args[place] if kind else None
        if isinstance(weight, Node) and str(weight.target) in grids:
            (tables if kind == "table" else linears).add(str(weight.target))
    looked_up = [grids[name] for name in tables if grids[name].bits == 4]
    return {
        name
        for name in linears
        if grids[name].bits == 4 and any(same_integers(grids[name], grid) for grid in looked_up)
    }


def same_integers(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same integers, whatever these stand for."""
    return one.values.shape == other.values.shape and torch.equal(one.values, other.values)


def _turned(graph_module: GraphModule, node: Node, grid: Grid) -> Grid:
    """Let a linear read its channels with the two of each byte swapped, and its integers so too.

    XNNPACK stores the first of two integers in the low half of a byte, a lookup in the high half.
    Swapped, the linear's bytes are the table's, and the file needs them once (``export.sharing``).
    """
    source = node.args[0]
    assert isinstance(source, Node)
    order = torch.arange(grid.values.shape[1]).view(-1, 2).flip(1).reshape(-1)
    with graph_module.graph.inserting_before(node):
        name = free_name(graph_module, "swapped")
        index = add_constant(graph_module, name, order, source)
        last = source.meta["val"].ndim - 1
        turned = call(graph_module, _aten.index_select.default, source, last, index)
    node.args = (turned, *node.args[1:])
    return replace(grid, values=grid.values[:, order].contiguous())


def _linear(
    graph_module: GraphModule,
    node: Node,
    name: str,
    grid: Grid,
    held: dict[tuple[str, str], tuple[str, ...]],
    read: dict[object, Node],
) -> None:
    operators = torch.ops.quantized_decomposed
    source = node.args[0]
    assert isinstance(source, Node)
    limits = None if grid.ranges is None else tuple(grid.ranges.tolist())
    # Linears that read one activation in the same form share its integers.
    form = (source, None if limits is None else limits[:2])
    if form not in read:
        with graph_module.graph.inserting_before(node):
            read[form] = (
                _per_token(graph_module, source)
                if limits is None
                else _per_tensor(graph_module, source, *limits[:2])
            )
    if limits is not None:
        _give_on_a_grid(graph_module, node, *limits[2:])
    scales = grid.scales[:, 0].clone() if grid.per_row else grid.scales
    zeros = torch.zeros(scales.shape, dtype=torch.int64)
    parts = {"values": grid.values, "scales": scales, "zeros": zeros}
    levels = (lowest(grid.bits), highest(grid.bits), torch.int8)
    with graph_module.graph.inserting_before(node):
        reads = _constants(graph_module, name, "linear", parts, held, source)
        more: tuple[Any, ...]
        if grid.per_row:
            found, more = operators.dequantize_per_channel.default, (0, *levels)
        else:
            found = operators.dequantize_per_channel_group.default
            more = (*levels, grid.group, torch.float32)
        weight = call(graph_module, found, *reads, *more)
    node.args = (read[form], weight, *node.args[2:])


def _per_token(graph_module: GraphModule, source: Node) -> Node:
    operators = torch.ops.quantized_decomposed
    chosen = call(
        graph_module, operators.choose_qparams_per_token_asymmetric.default, source, torch.int8
    )
    scale, zero = (_item(graph_module, chosen, index) for index in range(2))
    limits = (_LOW, _HIGH, torch.int8)
    integers = call(
        graph_module, operators.quantize_per_token.default, source, scale, zero, *limits
    )
    return call(
        graph_module,
        operators.dequantize_per_token.default,
        *(integers, scale, zero, *limits, torch.float32),
    )


def _per_tensor(graph_module: GraphModule, source: Node, low: float, high: float) -> Node:
    operators = torch.ops.quantized_decomposed
    grid = (*affine(low, high), _LOW, _HIGH, torch.int8)
    integers = call(graph_module, operators.quantize_per_tensor.default, source, *grid)
    return call(graph_module, operators.dequantize_per_tensor.default, integers, *grid)


def _give_on_a_grid(graph_module: GraphModule, node: Node, low: float, high: float) -> None:
    """Round what a linear gives; a kernel with static integers writes integers."""
    readers = list(node.users)
    with graph_module.graph.inserting_after(node):
        place = graph_module.graph.call_function(torch.ops.aten.alias.default, (node,))
        place.meta = dict(node.meta)
    with graph_module.graph.inserting_before(place):
        rounded = _per_tensor(graph_module, node, low, high)
    graph_module.graph.erase_node(place)
    for reader in readers:
        reader.replace_input_with(node, rounded)


def _item(graph_module: GraphModule, source: Node, index: int) -> Node:
    node = graph_module.graph.call_function(operator.getitem, (source, index))
    node.meta["val"] = source.meta["val"][index]
    return node


def _lookup(
    graph_module: GraphModule,
    node: Node,
    name: str,
    grid: Grid,
    held: dict[tuple[str, str], tuple[str, ...]],
) -> None:
    operators = torch.ops.quantized_decomposed
    # Scales of groups are many; where two bytes hold them exactly, two are enough.
    halves = grid.halves
    form = "default" if halves is None else "dtype"
    names = {8: "embedding_byte", 4: "embedding_4bit", 2: "embedding_2bit"}
    found = getattr(getattr(operators, names[grid.bits]), form)
    scales = grid.scales[:, 0].clone() if grid.per_row else grid.scales
    more = {} if halves is None else {"dtype": torch.float32}
    stored = scales if halves is None else halves
    parts = {"values": packed(grid.values, grid.bits), "scales": stored}
    low = _LOW if grid.bits == 8 else lowest(grid.bits)
    with graph_module.graph.inserting_before(node):
        values, factors = _constants(graph_module, name, "table", parts, held, node)
        arguments = (values, factors, None, low, highest(grid.bits), node.args[1])
        rows = call(graph_module, found, *arguments, **more)
    node.replace_all_uses_with(rows)
    graph_module.graph.erase_node(node)


def packed(values: Tensor, bits: int) -> Tensor:
    """A table's integers as its lookup operator stores them.

    Args:
        values: int8 ``(rows, columns)``; columns fill whole bytes.
        bits: 8 (as they are), 4 (the first of two in the high half) or 2 (the first of four in the
            lowest two bits).
    """
    if bits == 8:
        return values
    each = 8 // bits
    shifts = [4, 0] if bits == 4 else [0, 2, 4, 6]
    moved = (values.to(torch.int16) - lowest(bits)).to(torch.uint8)
    parts = moved.reshape(len(values), -1, each)
    whole = torch.zeros(parts.shape[:2], dtype=torch.uint8)
    for index, shift in enumerate(shifts):
        whole |= parts[:, :, index] << shift
    return whole


def _constants(
    graph_module: GraphModule,
    name: str,
    use: str,
    parts: dict[str, Tensor],
    held: dict[tuple[str, str], tuple[str, ...]],
    like: Node,
) -> list[Node]:
    """Nodes that read the parts of one tensor; it is held once, whoever reads it."""
    stem = name.replace(".", "_")
    if (name, use) not in held:
        names = tuple(f"{stem}_{use}_{part}" for part in parts)
        held[name, use] = names
        return [
            add_constant(graph_module, attribute, part, like)
            for attribute, part in zip(names, parts.values(), strict=True)
        ]
    nodes = []
    for attribute in held[name, use]:
        node = graph_module.graph.get_attr(attribute)
        value = getattr(graph_module, attribute)
        node.meta["val"] = like.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
        nodes.append(node)
    return nodes
