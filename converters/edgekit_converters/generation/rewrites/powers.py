"""Third and fourth powers as products: XNNPACK knows squares and no other power."""

from __future__ import annotations

import torch
from torch.fx import GraphModule

from edgekit_converters.graph.parameters import arguments, call

RUNTIMES = ("executorch",)

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Rewrite powers of three and four; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node.target is not _aten.pow.Tensor_Scalar or arguments(node)[1] not in (3, 4):
            continue
        source, exponent = arguments(node)
        with graph_module.graph.inserting_before(node):
            square = call(graph_module, _aten.mul.Tensor, source, source)
            other = source if exponent == 3 else square
            made = call(graph_module, _aten.mul.Tensor, square, other)
        node.replace_all_uses_with(made)
        graph_module.graph.erase_node(node)
        changed += 1
    graph_module.recompile()
    return changed
