"""The artifact's arithmetic in PyTorch: what a choice of bits does to the output, without lowering.

A quantized linear of the ``.pte`` multiplies integers with integers; in floats that is the product
of the dequantized weight and of the activation rounded for each token, whatever the weight's bits.
ONNX Runtime does the same where a weight has 8 bits and one scale a row; ``MatMulNBits`` rounds the
activation for each block of columns instead (``per_block``).

Trying many variants of one graph is made cheap by computing, for each input, only what lies behind
the tensors that a variant changes. Results do not depend on what else is tried beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from edgekit.errors import InternalError
from edgekit_converters.graph.parameters import constant
from edgekit_converters.quantize.plan import Unit

_aten = torch.ops.aten
_LEVELS = 127
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Treatment:
    """What stands in for one unit.

    Attributes:
        weight: float32 ``(rows, columns)``; a linear's is for the activation times ``factor``.
        round_input: rounds a linear's activation as the kernel does; None to leave it alone.
        factor: what smoothing multiplies the activation with, ``(columns,)``; None for nothing.
        round_output: rounds what a linear gives; None to leave it alone.
    """

    weight: Tensor
    round_input: Callable[[Tensor], Tensor] | None = None
    factor: Tensor | None = None
    round_output: Callable[[Tensor], Tensor] | None = None


# The units that differ from the captured graph, by name.
Variant = Mapping[str, Treatment]


def per_block(block: int) -> Callable[[Tensor], Tensor]:
    """Rounds each token in blocks of columns to symmetric int8, as ``MatMulNBits`` does.

    Args:
        block: columns that share a scale; the last block of a row may be narrower.
    """
    return partial(_per_block, block)


def _per_block(block: int, activation: Tensor) -> Tensor:
    columns = activation.shape[-1]
    padded = torch.nn.functional.pad(activation, (0, -columns % block))
    parts = padded.reshape(*padded.shape[:-1], -1, block)
    scale = (parts.abs().amax(dim=-1, keepdim=True) / _LEVELS).clamp(min=_SMALLEST)
    rounded: Tensor = (torch.round(parts / scale) * scale).flatten(-2)
    return rounded[..., :columns]


# Activations that several linears read in the same form: place, rounding, factor.
_Rounded = dict[tuple[int, int, int], Tensor]


@dataclass(frozen=True)
class _Step:
    """One operator: where its value goes, and what it reads."""

    place: int
    node: Node
    reads: tuple[int, ...]


class Simulation:
    """Runs variants of a captured graph with one output."""

    def __init__(self, graph_module: GraphModule, units: Sequence[Unit]) -> None:
        """Read the graph once.

        Args:
            graph_module: captured, float32; it must not change afterwards.
            units: its quantizable tensors.
        """
        self._units = {name: unit.name for unit in units for name in unit.outputs}
        self._names = {unit.name for unit in units}
        self._constants: dict[int, Any] = {}
        self._inputs: list[int] = []
        self._steps: list[_Step] = []
        places: dict[Node, int] = {}
        for place, node in enumerate(graph_module.graph.nodes):
            places[node] = place
            if node.op == "placeholder":
                self._inputs.append(place)
            elif node.op == "get_attr":
                self._constants[place] = _attribute(graph_module, node)
            elif node.op == "output":
                (self._output,) = (places[source] for source in node.all_input_nodes)
            elif node.op == "call_function":
                reads = tuple(places[source] for source in node.all_input_nodes)
                self._steps.append(_Step(place, node, reads))
            else:
                raise InternalError(f"the graph has a {node.op} node called {node.name}")
        self._calls = {step.place: _call(step.node, places) for step in self._steps}
        # What writes into its input leaves no value to start a variant from.
        self._pure = not any(_writes(step.node) for step in self._steps)

    def run(self, variant: Variant, inputs: Iterable[tuple[Tensor, ...]]) -> list[Tensor]:
        """The output of one variant for each of the inputs."""
        return [outputs[1] for outputs in self.compare([variant], inputs)]

    def compare(
        self, variants: Sequence[Variant], inputs: Iterable[tuple[Tensor, ...]]
    ) -> Iterator[list[Tensor]]:
        """For each input the graph's own output, then that of every variant.

        Raises:
            InternalError: a variant names a tensor that is none of the graph's units.
        """
        for unknown in sorted({name for one in variants for name in one} - self._names):
            raise InternalError(f"{unknown!r} is no unit of the graph")
        changed = [self._behind(variant) for variant in variants]
        needed = {self._output}
        for places in changed:
            for step in self._steps:
                if step.place in places:
                    needed.update(read for read in step.reads if read not in places)
        for arguments in inputs:
            with torch.no_grad():
                own = self._own(arguments, needed)
                outputs = [own[self._output]]
                for variant, places in zip(variants, changed, strict=True):
                    outputs.append(self._vary(variant, places, own, arguments))
            yield outputs

    def _behind(self, variant: Variant) -> set[int]:
        """Places of the values that a variant changes."""
        if not self._pure:
            return {step.place for step in self._steps}
        places: set[int] = set()
        for step in self._steps:
            if self._units.get(step.node.name) in variant or places.intersection(step.reads):
                places.add(step.place)
        return places

    def _own(self, arguments: tuple[Tensor, ...], needed: set[int]) -> dict[int, Any]:
        """The graph's own values, only those that are needed."""
        values = self._start(arguments)
        last = {read: step.place for step in self._steps for read in step.reads}
        for step in self._steps:
            values[step.place] = self._calls[step.place](values)
            for read in step.reads:
                if last[read] == step.place and read not in needed:
                    values.pop(read, None)
        return values

    def _vary(
        self,
        variant: Variant,
        places: set[int],
        own: dict[int, Any],
        arguments: tuple[Tensor, ...],
    ) -> Tensor:
        values = own | self._start(arguments)
        rounded: _Rounded = {}
        for step in self._steps:
            if step.place not in places:
                continue
            treatment = variant.get(self._units.get(step.node.name, ""))
            if treatment is None:
                values[step.place] = self._calls[step.place](values)
            else:
                values[step.place] = _treated(step, treatment, values, rounded)
        output: Tensor = values[self._output]
        return output

    def _start(self, arguments: tuple[Tensor, ...]) -> dict[int, Any]:
        given = dict(zip(self._inputs, arguments, strict=True))
        if self._pure:
            return self._constants | given
        return {p: v.clone() for p, v in (self._constants | given).items()}


def _attribute(graph_module: GraphModule, node: Node) -> Any:
    value = constant(graph_module, node)
    if value is None:
        raise InternalError(f"the graph reads {node.target}, which is no tensor")
    return value


def _call(node: Node, places: Mapping[Node, int]) -> Callable[[dict[int, Any]], Any]:
    """The operator with its arguments ready but for the values of other nodes."""
    target: Any = node.target
    simple = not node.kwargs and not any(isinstance(arg, list | tuple) for arg in node.args)
    if simple:
        plan = [
            (isinstance(arg, Node), places[arg] if isinstance(arg, Node) else 0, arg)
            for arg in node.args
        ]

        def call(values: dict[int, Any]) -> Any:
            return target(*[values[place] if dynamic else arg for dynamic, place, arg in plan])
    else:

        def call(values: dict[int, Any]) -> Any:
            args = map_arg(node.args, lambda source: values[places[source]])
            kwargs = map_arg(node.kwargs, lambda source: values[places[source]])
            return target(*args, **kwargs)

    return call


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _treated(
    step: _Step, treatment: Treatment, values: dict[int, Any], rounded: _Rounded
) -> Tensor:
    """A linear or a lookup with what stands in for its weight."""
    args = step.node.args
    reads = dict(zip(step.node.all_input_nodes, step.reads, strict=True))
    if step.node.target is _aten.embedding.default:
        ids = args[1]
        assert isinstance(ids, Node)
        return torch.nn.functional.embedding(values[reads[ids]], treatment.weight)
    source = args[0]
    bias = args[2] if len(args) > 2 else None
    assert isinstance(source, Node)
    form = (reads[source], id(treatment.round_input), id(treatment.factor))
    if form not in rounded:
        rounded[form] = _activation(treatment, values[reads[source]])
    added = values[reads[bias]] if isinstance(bias, Node) else None
    output = torch.nn.functional.linear(rounded[form], treatment.weight, added)
    return output if treatment.round_output is None else treatment.round_output(output)


def _activation(treatment: Treatment, activation: Tensor) -> Tensor:
    if treatment.factor is not None:
        activation = activation * treatment.factor
    return activation if treatment.round_input is None else treatment.round_input(activation)
