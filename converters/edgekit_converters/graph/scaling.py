"""Constant factors move into the weights of the linear layer before them.

Attention scales its queries, or its scores, by a constant; multiplied into the weight and the bias
that queries come from it costs nothing at run time. A factor moves back through views,
permutations and the first operand of a product, as long as nothing else reads what it passes. A
weight that several layers share is scaled once, and only if all of them want the same factor.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import arguments, constant, replace_constant

RUNTIMES = ("executorch", "onnx")
AFTER: tuple[str, ...] = ("cleanup", "positions")

_aten = torch.ops.aten
_MOVES = frozenset(
    {
        _aten.view.default,
        _aten.reshape.default,
        _aten.permute.default,
        _aten.transpose.int,
        _aten.unsqueeze.default,
        _aten.squeeze.dim,
        _aten.contiguous.default,
        _aten.clone.default,
    }
)
_PRODUCTS = frozenset({_aten.bmm.default, _aten.matmul.default})


@dataclass(frozen=True)
class _Factor:
    """A scaling node, its number, and the linear layer that can take it."""

    node: Node
    number: float
    linear: Node


def apply(graph_module: GraphModule) -> int:
    """Fold factors into weights; returns how many."""
    by_tensors: dict[tuple[Node, ...], list[_Factor]] = defaultdict(list)
    for node in graph_module.graph.nodes:
        factor = _factor(graph_module, node)
        if factor is not None:
            by_tensors[_tensors(factor.linear)].append(factor)
    folded = 0
    for tensors, factors in by_tensors.items():
        if _agree(graph_module, tensors, factors):
            _fold(graph_module, tensors, factors)
            folded += len(factors)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return folded


def _factor(graph_module: GraphModule, node: Node) -> _Factor | None:
    if node.target not in (_aten.mul.Tensor, _aten.mul.Scalar, _aten.div.Tensor):
        return None
    source, number = node.args[:2]
    if not isinstance(source, Node) or not isinstance(number, int | float) or number == 0:
        return None
    linear = _linear_before(graph_module, source)
    if linear is None:
        return None
    return _Factor(node, 1 / number if node.target is _aten.div.Tensor else number, linear)


def _linear_before(graph_module: GraphModule, node: Node) -> Node | None:
    """The linear layer whose output reaches ``node`` and nothing else, through moves alone."""
    while len(node.users) == 1:
        if node.target is _aten.linear.default:
            known = all(constant(graph_module, tensor) is not None for tensor in _tensors(node))
            return node if known else None
        if node.target not in _MOVES and node.target not in _PRODUCTS:
            return None
        node = arguments(node)[0]
    return None


def _tensors(linear: Node) -> tuple[Node, ...]:
    """Weight and, where there is one, bias."""
    return tuple(tensor for tensor in arguments(linear)[1:3] if tensor is not None)


def _agree(graph_module: GraphModule, tensors: tuple[Node, ...], factors: list[_Factor]) -> bool:
    """Whether all readers of the tensors are these layers, scaled once and alike."""
    linears = {factor.linear for factor in factors}
    alike = len({factor.number for factor in factors}) == 1 and len(linears) == len(factors)
    return alike and all(_readers(graph_module, tensor) == linears for tensor in tensors)


def _readers(graph_module: GraphModule, tensor: Node) -> set[Node]:
    """What reads the tensor's memory, under whatever name."""
    value = constant(graph_module, tensor)
    assert value is not None
    readers: set[Node] = set()
    for node in graph_module.graph.nodes:
        other = constant(graph_module, node)
        if other is not None and other.data_ptr() == value.data_ptr():
            readers |= set(node.users)
    return readers


def _fold(graph_module: GraphModule, tensors: tuple[Node, ...], factors: list[_Factor]) -> None:
    for tensor in tensors:
        value = constant(graph_module, tensor)
        assert value is not None
        replace_constant(graph_module, tensor, value * factors[0].number)
    for factor in factors:
        factor.node.replace_all_uses_with(arguments(factor.node)[0])
        graph_module.graph.erase_node(factor.node)
