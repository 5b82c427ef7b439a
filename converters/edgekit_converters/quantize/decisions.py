"""What a calibration decided, and how it is carried out on a graph: now, or again from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit.errors import InputRefused
from edgekit_converters.graph.parameters import (
    add_constant,
    call,
    constant,
    free_name,
    replace_constant,
)
from edgekit_converters.quantize import outliers
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.ledger import Row
from edgekit_converters.quantize.ordered import as_lookups
from edgekit_converters.quantize.plan import Unit
from edgekit_converters.quantize.units import units

_aten = torch.ops.aten


@dataclass
class Decisions:
    """One calibrated plan.

    Attributes:
        channels: outlying input channels that get a linear of their own, by the linear's weight.
        factors: what the channels of a linear's activation are divided by, by its weight. Linears
            with the same factors read the same product.
        grids: integers and scales, by the graph's name of the tensor.
        vectors: weights of norms and biases that were trained after rounding, by the graph's name.
        rows: the ledger, in graph order.
    """

    channels: dict[str, Tensor] = field(default_factory=dict)
    factors: dict[str, Tensor] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    vectors: dict[str, Tensor] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def replay(graph_module: GraphModule, decisions: Decisions) -> None:
    """Carry out recorded decisions on a freshly captured graph, in place.

    Raises:
        InputRefused: the graph is not the one that was calibrated.
    """
    untie(graph_module)
    as_lookups(graph_module, decisions.grids)
    known = {unit.name: unit for unit in units(graph_module)}
    for name, channels in decisions.channels.items():
        _present(name, known)
        outliers.split(graph_module, name, channels)
    known = {unit.name: unit for unit in units(graph_module)}
    for name in decisions.factors:
        _present(name, known)
    for linears, factors in _scaled(list(known.values()), decisions):
        scale(graph_module, linears, factors)
    for name, grid in decisions.grids.items():
        unit = _present(name, known)
        if tuple(grid.values.shape) != (unit.rows, unit.columns):
            raise _foreign(f"{name} is {unit.rows} x {unit.columns} here")
        put(graph_module, name, grid)
    put_vectors(graph_module, decisions.vectors)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()


def put_vectors(graph_module: GraphModule, vectors: Mapping[str, Tensor]) -> None:
    """Let the graph compute with trained vectors.

    Raises:
        InputRefused: the graph has no vector of that name and length.
    """
    readers = {str(node.target): node for node in graph_module.graph.nodes if node.op == "get_attr"}
    for name, vector in vectors.items():
        held = constant(graph_module, readers.get(name))
        if held is None or held.shape != vector.shape:
            raise _foreign(f"it has no vector {name} of {len(vector)}")
        replace_constant(graph_module, readers[name], vector)


def _scaled(known: list[Unit], decisions: Decisions) -> list[tuple[list[Unit], Tensor]]:
    """Linears with the factors that they share."""
    found: list[tuple[list[Unit], Tensor]] = []
    for unit in known:
        if unit.kind != "linear" or unit.name not in decisions.grids:
            continue
        alike = [one for one in found if one[0][0].activation == unit.activation]
        factors = decisions.factors.get(unit.name)
        if factors is None:
            # Plans of earlier versions name the first linear of an activation for all of them.
            shared = alike[:1]
        else:
            shared = [one for one in alike if torch.equal(one[1], factors)]
        if shared:
            shared[0][0].append(unit)
        elif factors is not None:
            found.append(([unit], factors))
    return found


def untie(graph_module: GraphModule) -> dict[str, str]:
    """Give a linear that shares its weight with a table a name of its own for it.

    The two are scaled differently, and their kernels store them differently.

    Returns:
        Name of the linear's weight -> name of the table.
    """
    tied: dict[str, str] = {}
    nodes = list(graph_module.graph.nodes)
    tables = {_read(node, 0) for node in nodes if node.target is _aten.embedding.default}
    for node in nodes:
        name = _read(node, 1) if node.target is _aten.linear.default else ""
        if not name or name not in tables:
            continue
        own = f"{name.replace('.', '_')}_as_linear"
        tied[own] = name
        with graph_module.graph.inserting_before(node):
            if hasattr(graph_module, own):
                read = graph_module.graph.get_attr(own)
                read.meta = dict(node.args[1].meta)
            else:
                value = constant(graph_module, node.args[1])
                assert value is not None
                read = add_constant(graph_module, own, value, node)
        node.args = (node.args[0], read, *node.args[2:])
    return tied


def scale(graph_module: GraphModule, linears: list[Unit], factors: Tensor) -> None:
    """Divide what these linears read, each channel by its factor.

    A weight that several layers share reads an activation in each of them: every one is divided.
    The weights are the caller's to multiply.
    """
    readers = {name for unit in linears for name in unit.outputs}
    nodes = [node for node in graph_module.graph.nodes if node.name in readers]
    name, smooth = free_name(graph_module, "smooth"), {}
    for node in nodes:
        source = node.args[0]
        if source not in smooth:
            with graph_module.graph.inserting_before(node):
                inverse = _inverse(graph_module, name, factors, source)
                smooth[source] = call(graph_module, _aten.mul.Tensor, source, inverse)
        node.args = (smooth[source], *node.args[1:])


def _inverse(graph_module: GraphModule, name: str, factors: Tensor, like: Node) -> Node:
    """Reads the constant that activations are multiplied by, made at the first call."""
    if not hasattr(graph_module, name):
        return add_constant(graph_module, name, 1 / factors, like)
    read = graph_module.graph.get_attr(name)
    read.meta["val"] = like.meta["val"].fake_mode.from_tensor(1 / factors, static_shapes=True)
    return read


def weight(graph_module: GraphModule, name: str) -> Tensor:
    """The tensor of this name."""
    found = constant(graph_module, _reader(graph_module, name))
    assert found is not None
    return found


def put(graph_module: GraphModule, name: str, grid: Grid) -> None:
    """Let the graph compute with what the integers stand for."""
    replace_constant(graph_module, _reader(graph_module, name), grid.dequantized())


def _reader(graph_module: GraphModule, name: str) -> Node:
    nodes: list[Node] = list(graph_module.graph.nodes)
    return next(node for node in nodes if node.op == "get_attr" and node.target == name)


def _read(node: Node, place: int) -> str:
    """The name of the constant at one argument; empty for anything else."""
    found = node.args[place]
    return str(found.target) if isinstance(found, Node) and found.op == "get_attr" else ""


def _present(name: str, known: Mapping[str, Unit]) -> Unit:
    if name not in known:
        raise _foreign(f"it has no tensor {name}")
    return known[name]


def _foreign(why: str) -> InputRefused:
    return InputRefused(
        f"the quantization plan was made for another model or task: {why}",
        hint="Run edgekit quantize again on this model, with the task that you export for.",
    )
