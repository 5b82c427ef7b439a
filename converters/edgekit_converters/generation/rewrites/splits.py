"""One linear layer whose output is cut in parts becomes one for each part.

Cutting a tensor with a dynamic length ends a delegated part; rows of a constant weight cost nothing
to part, and each part gets scales of its own when it is quantized.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import add_constant, arguments, call, constant

RUNTIMES = ("executorch", "onnx")

_aten = torch.ops.aten
_CUTS = (_aten.split.Tensor, _aten.split_with_sizes.default, _aten.chunk.default)


@dataclass(frozen=True)
class _Part:
    """A node that is columns ``begin`` to ``end`` of a linear layer's output."""

    node: Node
    begin: int
    end: int


def apply(graph_module: GraphModule) -> int:
    """Part linear layers; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node.target is not _aten.linear.default:
            continue
        tensors = [tensor for tensor in arguments(node)[1:3] if tensor is not None]
        parts = _parts(node)
        if not parts or any(constant(graph_module, tensor) is None for tensor in tensors):
            continue
        for part in parts:
            _replace(graph_module, node, part)
        changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def _parts(linear: Node) -> list[_Part]:
    """How the output is cut; empty when something reads it whole."""
    width, last = linear.meta["val"].shape[-1], linear.meta["val"].ndim - 1
    found: list[_Part] = []
    for user in linear.users:
        rank_dim = arguments(user)[2] if user.target in _CUTS else None
        if user.target is _aten.slice.Tensor:
            _, dim, begin, end, step = arguments(user)
            bounds = (begin or 0, min(width, width if end is None else end))
            if dim % (last + 1) != last or step != 1 or not all(isinstance(b, int) for b in bounds):
                return []
            found.append(_Part(user, bounds[0], bounds[1]))
        elif rank_dim is not None and rank_dim % (last + 1) == last:
            sizes = [value.shape[-1] for value in user.meta["val"]]
            for item in user.users:
                if item.target is not operator.getitem:
                    return []
                at: int = item.args[1]  # type: ignore[assignment]
                begin = sum(sizes[:at])
                found.append(_Part(item, begin, begin + sizes[at]))
        else:
            return []
    covered = sum(part.end - part.begin for part in found)
    return found if len(found) > 1 and covered <= width else []


def _replace(graph_module: GraphModule, linear: Node, part: _Part) -> None:
    source, *tensors = arguments(linear)[:3]
    with graph_module.graph.inserting_before(linear):
        rows = [_rows(graph_module, tensor, part, linear) for tensor in tensors]
        made = call(graph_module, _aten.linear.default, source, *rows)
    part.node.replace_all_uses_with(made)


def _rows(graph_module: GraphModule, tensor: Node | None, part: _Part, like: Node) -> Node | None:
    if tensor is None:
        return None
    value = constant(graph_module, tensor)
    assert value is not None
    name = f"{str(tensor.target).replace('.', '_')}_rows_{part.begin}"
    return add_constant(graph_module, name, value[part.begin : part.end].clone(), like)
