"""Joining with nothing, and cutting off nothing, is left out.

Models that can rotate a part of every head join the rest behind it, and where all of it is rotated
the rest is empty.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.lengths import literal
from edgekit_converters.graph.parameters import arguments

RUNTIMES = ("executorch", "onnx")

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Drop empty operands and whole slices; returns how many nodes went."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        kept = _kept(node)
        if kept is not None:
            node.replace_all_uses_with(kept)
            graph_module.graph.erase_node(node)
            changed += 1
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return changed


def _kept(node: Node) -> Node | None:
    """The one operand that a node gives back as it is."""
    if node.target is _aten.cat.default:
        full = [part for part in arguments(node)[0] if 0 not in literal(part.meta["val"].shape)]
        return full[0] if len(full) == 1 else None
    if node.target in (_aten.slice.Tensor, _aten.alias.default):
        source: Node = arguments(node)[0]
        before, after = source.meta["val"].shape, node.meta["val"].shape
        return source if literal(before) == literal(after) else None
    return None
