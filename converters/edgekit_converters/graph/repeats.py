"""What is computed twice from the same values is computed once.

A model computes some things anew in every layer, the mask of its heads for instance. Outside a
delegate each of them costs a call of its own.
"""

from __future__ import annotations

from typing import Any

from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import is_pure

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ("cleanup", "views")


def apply(graph_module: GraphModule) -> int:
    """Join equal computations; returns how many were taken out."""
    seen: dict[Any, Node] = {}
    joined = 0
    for node in list(graph_module.graph.nodes):
        if node.op != "call_function" or not is_pure(node):
            continue
        first = seen.setdefault((node.target, _frozen(node.args), _frozen(node.kwargs)), node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph_module.graph.erase_node(node)
            joined += 1
    graph_module.recompile()
    return joined


def _frozen(value: Any) -> Any:
    """A form that can be compared: 1, 1.0 and True are not the same argument."""
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((key, _frozen(value[key])) for key in sorted(value))
    if isinstance(value, slice):
        return (slice, value.start, value.stop, value.step)
    return (type(value), value)
