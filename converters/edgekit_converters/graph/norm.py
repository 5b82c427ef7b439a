"""Layer norm and means over the features, written with linears.

XNNPACK has no kernel for a layer norm and none for a mean over three-dimensional features, so each
of them ends one delegated part and starts another. A mean over the features is a linear layer with
one row of ``1 / width``, and that it has::

    mu = x m        c = x - mu        v = c^2 m        y = c / sqrt(v + eps) * weight + bias

The variance comes from centred values: ``mean(x^2) - mu^2`` takes as many passes over the data and
cancels where the mean is large.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import REDUCTION, arguments, call, reduction

RUNTIMES = ("executorch",)
AFTER: tuple[str, ...] = ("scaling",)

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Rewrite norms and means over the last dimension; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        rewrite = _REWRITES.get(node.target) if node.op == "call_function" else None
        if rewrite is None or not _is_float(node.args[0]):
            continue
        with graph_module.graph.inserting_before(node):
            made = rewrite(graph_module, node)
        if made is not None:
            node.replace_all_uses_with(made)
            graph_module.graph.erase_node(node)
            changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def is_norm_weight(name: object) -> bool:
    """Whether a weight's name says that it only sums or averages: nothing is learned in it.

    Quantization leaves its linear alone, and no ledger counts it among the weights.
    """
    return str(name).startswith(REDUCTION)


def _layer_norm(graph_module: GraphModule, node: Node) -> Node | None:
    source, shape, weight, bias, epsilon = arguments(node)[:5]
    if len(shape) != 1:
        return None
    centred = call(graph_module, _aten.sub.Tensor, source, _average(graph_module, source))
    return _scaled(graph_module, centred, epsilon, weight, bias)


def _rms_norm(graph_module: GraphModule, node: Node) -> Node | None:
    source, shape, weight, epsilon = arguments(node)[:4]
    if len(shape) != 1:
        return None
    if epsilon is None:
        epsilon = torch.finfo(source.meta["val"].dtype).eps
    return _scaled(graph_module, source, epsilon, weight, None)


def _scaled(
    graph_module: GraphModule, source: Node, epsilon: float, weight: Node | None, bias: Node | None
) -> Node:
    squares = call(graph_module, _aten.mul.Tensor, source, source)
    inverse = call(graph_module, _aten.rsqrt.default, _average(graph_module, squares, epsilon))
    made = call(graph_module, _aten.mul.Tensor, source, inverse)
    if weight is not None:
        made = call(graph_module, _aten.mul.Tensor, made, weight)
    if bias is not None:
        made = call(graph_module, _aten.add.Tensor, made, bias)
    return made


def _mean(graph_module: GraphModule, node: Node) -> Node | None:
    source, dims, keep, dtype = arguments(node)[:4]
    rank = source.meta["val"].ndim
    last = dims is not None and [dim % rank for dim in dims] == [rank - 1]
    # Without the kept dimension it is no norm, and XNNPACK would need a reshape after it.
    return _average(graph_module, source) if last and keep and dtype is None else None


def _average(graph_module: GraphModule, source: Node, plus: float | None = None) -> Node:
    """The mean over the features; what is added to it is the linear layer's bias, and free."""
    width = source.meta["val"].shape[-1]
    row = reduction(graph_module, "mean", torch.full((1, width), 1.0 / width), source)
    if plus is None:
        return call(graph_module, _aten.linear.default, source, row)
    bias = reduction(
        graph_module, f"epsilon_{plus!r}".replace(".", "_"), torch.tensor([plus]), source
    )
    return call(graph_module, _aten.linear.default, source, row, bias)


def _is_float(node: object) -> bool:
    if not isinstance(node, Node):
        return False
    value = node.meta["val"]
    return value.dtype == torch.float32 and value.ndim > 1 and isinstance(value.shape[-1], int)


_REWRITES: dict[Any, Any] = {
    _aten.layer_norm.default: _layer_norm,
    _aten.rms_norm.default: _rms_norm,
    _aten.mean.dim: _mean,
}
