"""Remove what does nothing at inference: dropout nodes and dead code."""

from __future__ import annotations

import torch
from torch.fx import GraphModule

_DROPOUT = (torch.ops.aten.dropout.default, torch.ops.aten.dropout_.default)


def apply(graph_module: GraphModule) -> int:
    """Drop inference-time no-ops; returns how many."""
    graph = graph_module.graph
    dropped = 0
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in _DROPOUT and not node.args[2]:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
            dropped += 1
    graph.eliminate_dead_code()
    graph_module.recompile()
    return dropped
