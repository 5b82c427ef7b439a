"""Cutting, turning and joining of features as one linear layer with a constant matrix of -1, 0, 1.

Rotary positions swap the halves of every head. XNNPACK takes no cut of a tensor whose length is
dynamic, so each of those swaps ends a delegated part; a product with a signed permutation is the
same function and stays inside.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from edgekit_converters.graph.parameters import arguments, call, reduction

RUNTIMES = ("executorch",)

_aten = torch.ops.aten
_MOVES = frozenset(
    {
        _aten.slice.Tensor,
        _aten.neg.default,
        _aten.cat.default,
        _aten.stack.default,
        _aten.unsqueeze.default,
        _aten.view.default,
        _aten.flatten.using_ints,
        _aten.clone.default,
        _aten.contiguous.default,
    }
)
_WHOLE = (
    _aten.slice.Tensor,
    _aten.cat.default,
    _aten.view.default,
    _aten.flatten.using_ints,
)
# Lengths that a candidate is tried at.
_TRIED = 7


def apply(graph_module: GraphModule) -> int:
    """Replace selections of features; returns how many."""
    changed = 0
    for node in reversed(list(graph_module.graph.nodes)):
        if node.target not in _WHOLE or not node.users:
            continue
        source = _source(node)
        matrix = None if source is None else _matrix(node, source)
        if source is None or matrix is None:
            continue
        kind = "selection_" + hashlib.sha256(matrix.numpy().tobytes()).hexdigest()[:8]
        row = reduction(graph_module, kind, matrix, source)
        with graph_module.graph.inserting_before(node):
            made = call(graph_module, _aten.linear.default, source, row)
        node.replace_all_uses_with(made)
        graph_module.graph.eliminate_dead_code()
        changed += 1
    graph_module.recompile()
    return changed


def _source(node: Node) -> Node | None:
    """The one value that a chain of moves, with at least one cut, starts from."""
    found: set[Node] = set()
    ahead, cut = [node], False
    while ahead:
        here = ahead.pop()
        cut |= here.target is _aten.slice.Tensor and _on_last(here)
        if here.target is _aten.slice.Tensor and not _on_last(here):
            return None
        for operand in here.all_input_nodes:
            if operand.target in _MOVES and not _arranges(operand, node):
                ahead.append(operand)
            else:
                found.add(operand)
    if not cut or len(found) != 1:
        return None
    (source,) = found
    value: Any = source.meta.get("val")
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        return None
    fits = value.ndim == node.meta["val"].ndim and value.ndim > 2
    return source if fits and source.op == "call_function" else None


def _arranges(operand: Node, node: Node) -> bool:
    """Whether a view or a copy is where features get their final arrangement."""
    moved = operand.target in (_aten.view.default, _aten.clone.default, _aten.contiguous.default)
    return moved and bool(operand.meta["val"].ndim == node.meta["val"].ndim)


def _on_last(node: Node) -> bool:
    last: int = node.meta["val"].ndim - 1
    return int(arguments(node)[1]) % (last + 1) == last


def _matrix(node: Node, source: Node) -> Tensor | None:
    """The map of features as a weight ``(outputs, inputs)``; None when it is more than that."""
    shape = [size if isinstance(size, int) else _TRIED for size in source.meta["val"].shape]
    width = shape[-1]
    if shape[:-1] != [size if isinstance(size, int) else _TRIED for size in _shape(node)[:-1]]:
        return None
    rows = torch.eye(width)
    columns = [_run(node, source, row.expand(shape).contiguous()) for row in rows]
    if any(column is None for column in columns):
        return None
    flat = [column.reshape(-1, column.shape[-1]) for column in columns if column is not None]
    matrix = torch.stack([column[0] for column in flat], dim=1)
    probe = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    wanted = _run(node, source, probe)
    made = probe @ matrix.t()
    same = wanted is not None and wanted.shape == made.shape and torch.equal(wanted, made)
    return matrix.contiguous() if same else None


def _run(node: Node, source: Node, value: Tensor) -> Tensor | None:
    """``node`` for a value of ``source``."""
    known: dict[Node, Any] = {source: value}

    def of(wanted: Node) -> Any:
        if wanted not in known:
            args, kwargs = map_arg((wanted.args, wanted.kwargs), of)
            known[wanted] = wanted.target(*args, **kwargs)  # type: ignore[operator]
        return known[wanted]

    try:
        found = of(node)
    except (RuntimeError, TypeError):
        return None
    return found if isinstance(found, Tensor) else None


def _shape(node: Node) -> Any:
    return node.meta["val"].shape
