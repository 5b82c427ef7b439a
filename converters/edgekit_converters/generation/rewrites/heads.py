"""The swap of tokens and heads moves down through what works on each head alone.

Models turn ``(1, tokens, heads, dim)`` before they rotate positions; the cache wants it as it was.
Moved down to its own undoing, the swap is gone, and with it a copy of every query and key.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import arguments, call

RUNTIMES = ("executorch", "onnx")

_aten = torch.ops.aten
_SWAP = [0, 2, 1, 3]
_ELEMENTWISE = (_aten.mul.Tensor, _aten.add.Tensor, _aten.sub.Tensor, _aten.div.Tensor)
# The last dimension is theirs alone.
_LAST = (_aten.slice.Tensor, _aten.mean.dim, _aten.cat.default)
_SINGLE = (
    _aten.neg.default,
    _aten.pow.Tensor_Scalar,
    _aten.rsqrt.default,
    _aten.linear.default,
    *_LAST,
)


def apply(graph_module: GraphModule) -> int:
    """Move swaps down as far as they go; returns how many steps."""
    moved = 0
    for node in list(graph_module.graph.nodes):
        if node.op != "call_function" or _rank(node) != 4:
            continue
        if node.target in _ELEMENTWISE or (node.target in _SINGLE and _on_last(node)):
            moved += _past(graph_module, node, list(node.args))
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return moved


def _past(graph_module: GraphModule, node: Node, args: list[Any]) -> int:
    """Do ``node`` before the swap of its operands, where there is one."""
    flat = args[0] if node.target is _aten.cat.default else args[:2]
    if node.target is _aten.linear.default:
        flat = args[:1]
    operands = [arg for arg in flat if isinstance(arg, Node)]
    if not any(_is_swap(operand) for operand in operands):
        return 0
    if not all(_is_swap(o) or _swaps_freely(o) for o in operands):
        return 0
    with graph_module.graph.inserting_before(node):
        turned = {operand: _turned(graph_module, operand) for operand in operands}
        if node.target is _aten.cat.default:
            args[0] = [turned[operand] for operand in args[0]]
        else:
            args = [turned.get(arg, arg) if isinstance(arg, Node) else arg for arg in args]
        made = call_with(graph_module, node, args)
        back = call(graph_module, _aten.permute.default, made, _SWAP)
    node.replace_all_uses_with(back)
    graph_module.graph.erase_node(node)
    return 1


def call_with(graph_module: GraphModule, node: Node, args: list[Any]) -> Node:
    """The operator of ``node`` on other operands."""
    values = [_values(arg) for arg in args]
    made = graph_module.graph.call_function(node.target, tuple(args), dict(node.kwargs))  # type: ignore[arg-type]
    with node.meta["val"].fake_mode:
        made.meta["val"] = node.target(*values, **node.kwargs)  # type: ignore[operator]
    return made


def _values(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return [_values(one) for one in arg]
    return arg.meta["val"] if isinstance(arg, Node) else arg


def _turned(graph_module: GraphModule, operand: Node) -> Node:
    if _is_swap(operand):
        source: Node = arguments(operand)[0]
        return source
    if _rank(operand) < 4:
        return operand
    return call(graph_module, _aten.permute.default, operand, _SWAP)


def _swaps_freely(operand: Node) -> bool:
    """One row for all heads, or one that only has features: no bytes move when it is swapped."""
    return _rank(operand) < 2 or (_rank(operand) == 4 and operand.meta["val"].shape[1] == 1)


def _is_swap(node: Node) -> bool:
    if node.target is _aten.transpose.int:
        return _rank(node) == 4 and {dim % 4 for dim in arguments(node)[1:3]} == {1, 2}
    if node.target is not _aten.permute.default:
        return False
    return [dim % _rank(node) for dim in arguments(node)[1]] == _SWAP


def _on_last(node: Node) -> bool:
    """Whether an operator touches no dimension but the last."""
    if node.target is _aten.mean.dim:
        return [dim % 4 for dim in arguments(node)[1]] == [3] and bool(arguments(node)[2])
    if node.target in (_aten.slice.Tensor, _aten.cat.default):
        return int(arguments(node)[1]) % 4 == 3
    return True


def _rank(node: Node) -> int:
    value = node.meta.get("val")
    return value.ndim if isinstance(value, torch.Tensor) else -1
