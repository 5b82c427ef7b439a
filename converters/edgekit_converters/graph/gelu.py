"""GELU by its tanh formula, written out.

XNNPACK has one GELU, by the error function, and its lowering takes it for the tanh formula as well:
a difference of up to 5e-4 for each activation, without a word.
"""

from __future__ import annotations

import math

import torch
from torch.fx import GraphModule

from edgekit_converters.graph.parameters import arguments, call

RUNTIMES = ("executorch",)
AFTER: tuple[str, ...] = ()

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Write out every tanh GELU; returns how many."""
    changed = 0
    for node in list(graph_module.graph.nodes):
        if node.target is not _aten.gelu.default or arguments(node)[1] != "tanh":
            continue
        x = arguments(node)[0]
        with graph_module.graph.inserting_before(node):
            square = call(graph_module, _aten.mul.Tensor, x, x)
            bent = call(graph_module, _aten.mul.Tensor, square, 0.044715)
            more = call(graph_module, _aten.add.Tensor, bent, 1.0)
            inner = call(graph_module, _aten.mul.Tensor, x, more)
            scaled = call(graph_module, _aten.mul.Tensor, inner, math.sqrt(2.0 / math.pi))
            gate = call(graph_module, _aten.tanh.default, scaled)
            half = call(graph_module, _aten.mul.Tensor, x, 0.5)
            opened = call(graph_module, _aten.add.Tensor, gate, 1.0)
            made = call(graph_module, _aten.mul.Tensor, half, opened)
        node.replace_all_uses_with(made)
        graph_module.graph.erase_node(node)
        changed += 1
    graph_module.recompile()
    return changed
