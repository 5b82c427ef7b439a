"""Chains of views and permutations become one view and one permutation.

Between a linear layer and a product of attention there are four of them, and most copy the whole
tensor: split into heads, swap, drop the batch of one, swap again. Two are enough.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.lengths import literal
from edgekit_converters.graph.parameters import arguments, call
from edgekit_converters.graph.views import is_view

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ("views",)

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Join what follows one on the other; returns how many joints were found."""
    changed = 0
    while True:
        found = 0
        for node in list(graph_module.graph.nodes):
            if node.target is _aten.transpose.int:
                _as_permutation(node)
            if node.target is _aten.permute.default:
                found += _join_permutations(graph_module, node)
            elif node.target is _aten.view.default:
                found += _view_first(graph_module, node) or _join_views(node)
        graph_module.graph.eliminate_dead_code()
        if not found:
            break
        changed += found
    graph_module.recompile()
    return changed


def _as_permutation(node: Node) -> None:
    source, one, other = arguments(node)
    rank = node.meta["val"].ndim
    order = list(range(rank))
    order[one % rank], order[other % rank] = order[other % rank], order[one % rank]
    node.target = _aten.permute.default
    node.args = (source, order)


def _order(node: Node) -> list[int]:
    rank = node.meta["val"].ndim
    return [dim % rank for dim in arguments(node)[1]]


def _join_permutations(graph_module: GraphModule, node: Node) -> int:
    """One permutation after another is one, or none at all."""
    before = arguments(node)[0]
    if before.target is not _aten.permute.default:
        return 0
    source, first = arguments(before)[0], _order(before)
    joined = [first[dim] for dim in _order(node)]
    if joined == list(range(len(joined))):
        node.replace_all_uses_with(source)
        graph_module.graph.erase_node(node)
    else:
        node.args = (source, joined)
    return 1


def _view_first(graph_module: GraphModule, node: Node) -> int:
    """A permutation followed by dropping its first dimension, of size one: drop it before."""
    before = arguments(node)[0]
    if before.target is not _aten.permute.default or len(before.users) > 1:
        return 0
    source = arguments(before)[0]
    order, sizes = _order(before), literal(before.meta["val"].shape)
    dropped = sizes[0] == 1 and literal(node.meta["val"].shape) == sizes[1:]
    if order[0] != 0 or not dropped:
        return 0
    inner = literal(source.meta["val"].shape)[1:]
    shape = [size if isinstance(size, int) else -1 for size in inner]
    if shape.count(-1) > 1:
        return 0
    with graph_module.graph.inserting_before(node):
        flat = call(graph_module, _aten.view.default, source, shape)
        made = call(graph_module, _aten.permute.default, flat, [dim - 1 for dim in order[1:]])
    node.replace_all_uses_with(made)
    graph_module.graph.erase_node(node)
    return 1


def _join_views(node: Node) -> int:
    before, sizes = arguments(node)
    if before.target is not _aten.view.default:
        return 0
    source = arguments(before)[0]
    if not is_view(source, sizes):
        return 0
    node.args = (source, sizes)
    return 1
