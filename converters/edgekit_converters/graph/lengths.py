"""The one dynamic length of a captured graph: how long it gets, and the node that reads it."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import add_constant, call

_aten = torch.ops.aten


def literal(shape: Any) -> list[int | str]:
    """Sizes that can be compared: numbers, and the names of those that are free.

    Comparing the sizes themselves could settle a free one on the length of the example.
    """
    return [size if isinstance(size, int) else str(size.node.expr) for size in shape]


def longest(size: Any) -> int | None:
    """The largest value of a dimension; None where it has no bound."""
    if isinstance(size, int):
        return size
    upper = size.node.shape_env.bound_sympy(size.node.expr).upper
    return int(upper) if upper.is_finite and upper < 2**31 else None


def length_node(graph_module: GraphModule, size: Any) -> Node | None:
    """A node that reads ``size`` off an input of the graph, made at the inputs if there is none.

    Read off a value in the middle of the graph, a length would tie what uses it to the part before.
    """
    graph = graph_module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for source in inputs:
        for dim, found in enumerate(source.meta["val"].shape):
            if isinstance(found, int) or found.node.expr != size.node.expr:
                continue
            for user in source.users:
                if user.target is _aten.sym_size.int and user.args[1] == dim:
                    found_before: Node = user
                    return found_before
            with graph.inserting_after(inputs[-1]):
                return call(graph_module, _aten.sym_size.int, source, dim)
    return None


def prefix(graph_module: GraphModule, name: str, table: torch.Tensor, sizes: list[Any]) -> Node:
    """A constant cut to the sizes of one run.

    Call it inside ``graph.inserting_before``, behind the nodes that ``length_node`` gave.

    Args:
        graph_module: the captured graph.
        name: of the tensor that holds ``table``.
        table: longer by one than the longest length wherever it is cut: cut at its own length, it
            would give the graph a guard that refuses that length.
        sizes: for each dimension a node to cut at, or None.
    """
    like = next(node for node in graph_module.graph.nodes if node.op == "placeholder")
    found = add_constant(graph_module, name, table, like)
    for dim, size in enumerate(sizes):
        if size is not None:
            found = call(graph_module, _aten.slice.Tensor, found, dim, 0, size)
    return found
