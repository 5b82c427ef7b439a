"""Find what can be quantized in a captured graph: constant-weight linears and embedding tables."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import constant
from edgekit_converters.quantize.plan import Unit

_aten = torch.ops.aten


def units(graph_module: GraphModule) -> list[Unit]:
    """Every quantizable tensor, in graph order; one that several nodes read is one unit."""
    found: dict[str, tuple[str, Node, list[Node]]] = {}
    for node in graph_module.graph.nodes:
        kind, place = _kind(node)
        weight = node.args[place] if kind else None
        if not isinstance(weight, Node) or constant(graph_module, weight) is None:
            continue
        found.setdefault(str(weight.target), (kind, weight, []))[2].append(node)
    return [
        _unit(graph_module, name, kind, weight, users)
        for name, (kind, weight, users) in found.items()
    ]


def _kind(node: Node) -> tuple[str, int]:
    """What a node does with a weight, and which of its arguments that is."""
    if node.op != "call_function":
        return "", 0
    if node.target is _aten.linear.default:
        return "linear", 1
    return ("table", 0) if node.target is _aten.embedding.default else ("", 0)


def _unit(graph_module: GraphModule, name: str, kind: str, weight: Node, users: list[Node]) -> Unit:
    tensor = constant(graph_module, weight)
    assert tensor is not None
    rows, columns = tensor.shape
    source = users[0].args[0]
    activation = source.name if kind == "linear" and isinstance(source, Node) else ""
    return Unit(name, kind, rows, columns, activation, tuple(user.name for user in users))
