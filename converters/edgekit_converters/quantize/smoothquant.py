"""SmoothQuant: move the activations' outliers into the weights before both are rounded.

Xiao et al. 2023, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
Language Models", eq. 4: with ``s = max|X|^alpha / max|W|^(1-alpha)`` per input channel, ``X W`` is
computed as ``(X / s) (s W)``. Linears that read the same activation share one ``s``, so one
multiplication serves them all. The graph's function is unchanged in exact arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from edgekit_converters.graph.parameters import add_constant, call, constant

ALPHA = 0.5

_aten = torch.ops.aten
_SMALLEST = 1e-5


def apply(
    graph_module: GraphModule, inputs: Iterable[tuple[Tensor, ...]], alpha: float = ALPHA
) -> int:
    """Smooth every linear whose weight is a constant; returns how many activations were scaled.

    Args:
        graph_module: the captured graph; changed in place.
        inputs: calibration inputs, run one by one (memory does not grow with their number).
        alpha: how much of the difficulty moves to the weights, 0..1.
    """
    readers: dict[Node, list[Node]] = defaultdict(list)
    for node in graph_module.graph.nodes:
        if node.target is _aten.linear.default and constant(graph_module, node.args[1]) is not None:
            readers[node.args[0]].append(node)
    maxima = _channel_maxima(graph_module, set(readers), inputs)
    for index, (activation, linears) in enumerate(readers.items()):
        weights = [constant(graph_module, linear.args[1]) for linear in linears]
        weight_max = torch.stack([w.abs().amax(dim=0) for w in weights if w is not None]).amax(0)
        scale = maxima[activation].clamp(min=_SMALLEST) ** alpha
        scale = scale / weight_max.clamp(min=_SMALLEST) ** (1 - alpha)
        scale = scale / scale.mean()
        _scale(graph_module, index, activation, linears, scale)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    return len(readers)


def _scale(
    graph_module: GraphModule, index: int, activation: Node, linears: list[Node], scale: Tensor
) -> None:
    with graph_module.graph.inserting_before(linears[0]):
        inverse = add_constant(graph_module, f"smooth_{index}", 1 / scale, activation)
        smooth = call(graph_module, _aten.mul.Tensor, activation, inverse)
    for place, linear in enumerate(linears):
        weight = constant(graph_module, linear.args[1])
        assert weight is not None
        # A new tensor: the old one may be shared, with the embedding table for instance.
        with graph_module.graph.inserting_before(linear):
            scaled = add_constant(
                graph_module, f"smooth_{index}_weight_{place}", weight * scale, activation
            )
        linear.args = (smooth, scaled, *linear.args[2:])


class _Watch(Interpreter):
    """Runs a graph and keeps each watched node's largest magnitude per channel."""

    def __init__(self, graph_module: GraphModule, watched: set[Node]) -> None:
        super().__init__(graph_module)
        self._watched = watched
        self.maxima: dict[Node, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self._watched:
            peak = value.detach().abs().reshape(-1, value.shape[-1]).amax(dim=0)
            seen = self.maxima.get(n)
            self.maxima[n] = peak if seen is None else torch.maximum(seen, peak)
        return value


def _channel_maxima(
    graph_module: GraphModule, watched: set[Node], inputs: Iterable[tuple[Tensor, ...]]
) -> dict[Node, Tensor]:
    watch = _Watch(graph_module, watched)
    with torch.no_grad():
        for arguments in inputs:
            watch.run(*arguments)
    return watch.maxima
