"""A graph that tells what some of its nodes give, as fast as it runs without."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit_converters.graph.parameters import shallow_copy

# Told the name of a node and what it gave.
See = Callable[[str, Tensor], None]


def watch(
    graph_module: GraphModule, names: set[str], inputs: Iterable[tuple[Tensor, ...]], see: See
) -> None:
    """Run a graph over inputs, one by one, and look at some values on the way.

    Args:
        graph_module: not changed; its tensors are used, not copied.
        names: of the nodes to look at.
        inputs: one tuple of arguments a run.
        see: called for each of these nodes in each run, in graph order.
    """
    watched = shallow_copy(graph_module)
    graph = watched.graph
    both = list(zip(graph_module.graph.nodes, graph.nodes, strict=True))
    for index, (node, own) in enumerate(both):
        if node.name not in names:
            continue
        place = f"edgekit_watch_{index}"
        watched.add_submodule(place, _Look(node.name, see))
        with graph.inserting_after(own):
            graph.call_module(place, (own,))
    watched.recompile()
    with torch.no_grad():
        for arguments in inputs:
            watched(*arguments)


class _Look(nn.Module):
    def __init__(self, name: str, see: See) -> None:
        super().__init__()
        self._name, self._see = name, see

    def forward(self, value: Tensor) -> None:
        self._see(self._name, value)
