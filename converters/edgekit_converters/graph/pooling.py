"""Pooling over the tokens and scaling to unit length, as products that XNNPACK takes.

A mean over the tokens is a product with a row of ones, the first token's row a product with a row
that starts with a one; a length is a linear layer on squares. Written so, the head of an encoder
joins the delegated part before it. Each row is a constant cut to the run's length. The division by
the number of tokens stays, and so does the smallest length that normalisation divides by: a vector
of zeros gives zeros, as it does in torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.lengths import length_node, literal, longest, prefix
from edgekit_converters.graph.parameters import (
    REDUCTION,
    arguments,
    call,
    constant,
    reduction,
)

RUNTIMES = ("executorch",)
AFTER: tuple[str, ...] = ("norm",)

_aten = torch.ops.aten
# Squared, a smaller bound would be no number of its own in fp32.
_SMALLEST_BOUND = 1e-18


def apply(graph_module: GraphModule) -> int:
    """Rewrite pooling over tokens and scaling to unit length; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        rewrite = _REWRITES.get(node.target) if node.op == "call_function" else None
        made = rewrite(graph_module, node) if rewrite is not None else None
        if made is not None:
            node.replace_all_uses_with(made)
            graph_module.graph.erase_node(node)
            changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def _mean(graph_module: GraphModule, node: Node) -> Node | None:
    source, dims, keep, dtype = arguments(node)[:4]
    if dims is None or dtype is not None or not _is_features(source) or not _is_tokens(dims):
        return None
    row = _row(graph_module, "ones", source)
    if row is None:
        return None
    with graph_module.graph.inserting_before(node):
        total = call(graph_module, _aten.bmm.default, row, source)
        column = call(graph_module, _aten.permute.default, row, [0, 2, 1])
        tokens = call(graph_module, _aten.bmm.default, row, column)
        mean = call(graph_module, _aten.div.Tensor, total, tokens)
        return mean if keep else _without_tokens(graph_module, mean)


def _sum(graph_module: GraphModule, node: Node) -> Node | None:
    """A sum over tokens; for ``hidden * weights`` with one weight a token, they are the row."""
    source, dims, keep, dtype = arguments(node)[:4]
    if not dims or dtype is not None or not _is_features(source) or not _is_tokens(dims):
        return None
    weighted = _weighted(source)
    row = None if weighted else _row(graph_module, "ones", source)
    if weighted is None and row is None:
        return None
    with graph_module.graph.inserting_before(node):
        if weighted is not None:
            source, weights = weighted
            row = call(graph_module, _aten.permute.default, weights, [0, 2, 1])
        total = call(graph_module, _aten.bmm.default, row, source)
        return total if keep else _without_tokens(graph_module, total)


def _weighted(source: Node) -> tuple[Node, Node] | None:
    """Hidden states and their weights, if it is a product of them."""
    if source.target is not _aten.mul.Tensor:
        return None
    hidden, weights = arguments(source)
    if not _is_features(hidden) or not _is_features(weights):
        return None
    fits = literal(weights.meta["val"].shape) == [*literal(hidden.meta["val"].shape)[:2], 1]
    return (hidden, weights) if fits else None


def _first(graph_module: GraphModule, node: Node) -> Node | None:
    source, dim, index = arguments(node)[:3]
    if not _is_features(source) or dim != 1 or index != 0:
        return None
    # On the inputs themselves, or a constant, there is no delegated part to stay in.
    if source.op == "placeholder" or constant(graph_module, source) is not None:
        return None
    row = _row(graph_module, "first", source)
    if row is None:
        return None
    with graph_module.graph.inserting_before(node):
        return _without_tokens(graph_module, call(graph_module, _aten.bmm.default, row, source))


def _normalised(graph_module: GraphModule, node: Node) -> Node | None:
    """``x / max(norm(x), bound)`` over the last dimension."""
    source, divisor = arguments(node)
    found = _norm(divisor) if isinstance(divisor, Node) else None
    if found is None or found[0] is not source:
        return None
    bound, value = found[1], source.meta["val"]
    with graph_module.graph.inserting_before(node):
        squares = call(graph_module, _aten.mul.Tensor, source, source)
        ones = reduction(graph_module, "sum", torch.ones(1, value.shape[-1]), source)
        total = call(graph_module, _aten.linear.default, squares, ones)
        if bound is not None:
            total = call(graph_module, _aten.clamp.default, total, bound * bound)
        inverse = call(graph_module, _aten.rsqrt.default, total)
        return call(graph_module, _aten.mul.Tensor, source, inverse)


def _norm(divisor: Any) -> tuple[Node, float | None] | None:
    """Whose Euclidean norm over the last dimension it is, and the least that it is held to."""
    if divisor.target in (_aten.expand.default, _aten.expand_as.default):
        divisor = divisor.args[0]
    bound = None
    if divisor.target in (_aten.clamp_min.default, _aten.clamp.default):
        divisor, bound, *upper = arguments(divisor)
        if upper not in ([], [None]) or bound is None or bound < _SMALLEST_BOUND:
            return None
    if divisor.target is not _aten.linalg_vector_norm.default:
        return None
    source, order, dims, keep = arguments(divisor)[:4]
    value = source.meta["val"]
    if order != 2 or not keep or dims is None or value.dtype != torch.float32:
        return None
    last = [dim % value.ndim for dim in dims] == [value.ndim - 1]
    return (source, bound) if last and isinstance(value.shape[-1], int) else None


def _is_tokens(dims: list[int]) -> bool:
    """Whether the dimensions are the tokens of ``(batch, tokens, features)`` alone."""
    return [dim % 3 for dim in dims] == [1]


def _is_features(node: object) -> bool:
    """``(batch, tokens, features)`` in fp32 with a batch and a width that are known."""
    if not isinstance(node, Node):
        return False
    value = node.meta["val"]
    known = value.ndim == 3 and isinstance(value.shape[0], int) and isinstance(value.shape[2], int)
    return bool(known and value.dtype == torch.float32)


def _row(graph_module: GraphModule, kind: str, source: Node) -> Node | None:
    """``(batch, 1, tokens)``: all ones, or a one for the first token; shared by all its readers."""
    batch, size = source.meta["val"].shape[:2]
    most = longest(size)
    if most is None:
        return None
    name = f"{REDUCTION}{kind}_{batch}_1_{most}"
    for node in graph_module.graph.nodes:
        if node.op == "get_attr" and node.target == name:
            row: Node = node if isinstance(size, int) else next(iter(node.users))
            return row
    dynamic = not isinstance(size, int)
    at = length_node(graph_module, size) if dynamic else None
    if dynamic and at is None:
        return None
    table = torch.ones(batch, 1, most + dynamic)
    if kind == "first":
        table[:, :, 1:] = 0
    last = at or [node for node in graph_module.graph.nodes if node.op == "placeholder"][-1]
    with graph_module.graph.inserting_before(last.next):
        return prefix(graph_module, name, table, [None, None, at])


def _without_tokens(graph_module: GraphModule, node: Node) -> Node:
    """``(batch, 1, features)`` to ``(batch, features)``."""
    batch, _, width = node.meta["val"].shape
    return call(graph_module, _aten.view.default, node, [batch, width])


_REWRITES: dict[Any, Any] = {
    _aten.mean.dim: _mean,
    _aten.sum.dim_IntList: _sum,
    _aten.select.int: _first,
    _aten.div.Tensor: _normalised,
}
