"""Read and add the tensors that a captured graph holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node


def constant(graph_module: GraphModule, node: object) -> Tensor | None:
    """The tensor behind a ``get_attr`` node; None for anything else."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found: object = graph_module
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found.detach() if isinstance(found, Tensor) else None


def add_constant(graph_module: GraphModule, name: str, value: Tensor, like: Node) -> Node:
    """Hold ``value`` as a buffer and return a node that reads it.

    Call it inside ``graph.inserting_before``. ``like`` is any node whose fake tensors share the
    graph's fake mode.
    """
    graph_module.register_buffer(name, value)
    node = graph_module.graph.get_attr(name)
    node.meta["val"] = like.meta["val"].fake_mode.from_tensor(value, static_shapes=True)
    return node


def call(graph_module: GraphModule, operator: torch._ops.OpOverload, *args: Any) -> Node:
    """Add one operator call, with the fake value that later passes read."""
    node = graph_module.graph.call_function(operator, args)
    values = [arg.meta["val"] if isinstance(arg, Node) else arg for arg in args]
    fake = next(value for value in values if hasattr(value, "fake_mode"))
    with fake.fake_mode:
        node.meta["val"] = operator(*values)
    return node
