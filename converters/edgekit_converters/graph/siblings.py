"""Linear layers that read one activation stand side by side.

In int8 they share the activation's integers, and ExecuTorch's partitioner then takes them as one
group. It tries once to join that group to what follows, in the order of the graph: an operator that
stands between two of them and reads the first makes it give up, and the delegated part ends there.
The order is all that changes.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import torch
from torch.fx import GraphModule, Node

from edgekit_converters.graph.parameters import arguments, constant

RUNTIMES = ("executorch",)
AFTER: tuple[str, ...] = ("repeats", "reshapes", "norm", "pooling")

_aten = torch.ops.aten


def apply(graph_module: GraphModule) -> int:
    """Move linear layers up to the first that reads the same; returns how many were moved."""
    readers: dict[Node, list[Node]] = defaultdict(list)
    for node in graph_module.graph.nodes:
        if node.target is not _aten.linear.default:
            continue
        source, *tensors = arguments(node)
        known = [tensor for tensor in tensors if tensor is not None]
        if all(constant(graph_module, tensor) is not None for tensor in known):
            readers[source].append(node)
    moved = 0
    for linears in readers.values():
        for last, node in pairwise(linears):
            # None between: constants may stand there, they hold nothing up.
            if any(user < node for linear in linears for user in linear.users):
                _move(last, node)
                moved += 1
    graph_module.recompile()
    return moved


def _move(last: Node, node: Node) -> None:
    """Put a linear layer behind another, and what it reads before it."""
    last.append(node)
    for tensor in arguments(node)[1:]:
        if tensor is not None and node < tensor:
            node.prepend(tensor)
