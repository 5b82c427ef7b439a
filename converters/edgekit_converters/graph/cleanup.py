"""Remove what does nothing at inference: dropout, conversions to the same type, dead code.

Parts that were traced with gradients switched off come as graphs of their own; they are put back
into the graph around them, where other rewrites can see them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ()

_aten = torch.ops.aten
_DROPOUT = (_aten.dropout.default, _aten.dropout_.default)
_CONVERSIONS = (_aten.to.dtype, _aten._to_copy.default)
# What repeats rows by itself and gets the same from an operand before its expansion.
_ELEMENTWISE = (_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor)


def apply(graph_module: GraphModule) -> int:
    """Drop inference-time no-ops; returns how many."""
    graph = graph_module.graph
    dropped = _inline(graph_module)
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if node.target is _aten._assert_tensor_metadata.default:
            graph.erase_node(node)
            dropped += 1
        elif _is_no_op(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
            dropped += 1
    graph.eliminate_dead_code()
    graph_module.recompile()
    return dropped


def _is_no_op(node: Node) -> bool:
    if node.target in _DROPOUT:
        return not node.args[2]
    if node.target in _CONVERSIONS:
        return _is_same(node)
    if node.target in (_aten.expand.default, _aten.expand_as.default):
        return all(_repeats_itself(node, user) for user in node.users)
    return False


def _is_same(node: Node) -> bool:
    """A conversion that gives back its input, type and layout."""
    source = node.args[0]
    assert isinstance(source, Node)
    copies = len(node.args) > 3 and node.args[3]
    return bool(source.meta["val"].dtype == node.meta["val"].dtype and not copies)


def _repeats_itself(node: Node, user: Node) -> bool:
    """Whether the other operand alone gives the result its shape."""
    if user.target not in _ELEMENTWISE:
        return False
    others = [source for source in user.all_input_nodes if source is not node]
    return len(others) == 1 and _shape(others[0]) == _shape(user)


def _shape(node: Node) -> list[str]:
    return [str(size) for size in node.meta["val"].shape]


def _inline(graph_module: GraphModule) -> int:
    graph = graph_module.graph
    inlined = 0
    for node in list(graph.nodes):
        if node.target is not torch.ops.higher_order.wrap_with_set_grad_enabled:
            continue
        inner = graph_module.get_submodule(str(node.args[1].target))
        assert isinstance(inner, GraphModule)
        places = (n for n in inner.graph.nodes if n.op == "placeholder")
        known: dict[Node, Any] = dict(zip(places, node.args[2:], strict=True))
        with graph.inserting_before(node):
            results = graph.graph_copy(inner.graph, known)
        values = results if isinstance(results, list | tuple) else (results,)
        for user in list(node.users):
            user.replace_all_uses_with(values[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)
        inlined += 1
    return inlined
