"""Static activations: one range for what each linear reads and gives, from calibration text.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference" (arXiv 1712.05877), sections 2.1 and 3. A range is the least and greatest value
seen, drawn in where that makes the squared error over a sample of the values smaller: a few
outliers must not take the resolution of all the others.

No work is left for the run but the multiplication. What is lost is that a token's own range no
longer counts, which transformers feel: some channels of theirs are larger than all others by an
order of magnitude. A linear whose values no one range can hold keeps a scale for each token.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgekit_converters.quantize.activations import per_tensor
from edgekit_converters.quantize.units import units
from edgekit_converters.quantize.watching import watch

# Values of one activation that a range is tried on: all of a text counts a little.
_KEPT = 1 << 18
_EACH = 1 << 12
_SHARES = torch.linspace(1.0, 0.3, 15).tolist()
# Signal to noise, in dB, that a range must leave what is read and what is given. The largest values
# count as no more than the rest: beside an enormous one, losing all others would look like little.
LEAST_DB = 28.0
_USUAL = 0.99


def observe(
    graph_module: GraphModule, names: Collection[str], inputs: Iterable[tuple[Tensor, ...]]
) -> dict[str, Tensor]:
    """The ranges of linears, by name: float32 ``(4,)`` as in ``Grid.ranges``.

    A linear that ranges leave less than ``LEAST_DB`` has none.

    Args:
        graph_module: calibrated; its weights are what their integers stand for.
        names: of the linears' weights.
        inputs: calibration inputs, run one by one.
    """
    linears = {
        output: unit.name
        for unit in units(graph_module)
        if unit.name in names
        for output in unit.outputs
    }
    read = {}
    for node in graph_module.graph.nodes:
        if node.name in linears:
            source = node.args[0]
            assert isinstance(source, Node)
            read[node.name] = source.name
    seen = {name: _Seen() for name in (*linears, *read.values())}
    watch(graph_module, set(seen), inputs, lambda name, value: seen[name].add(value))
    ranges = {name: one.range() for name, one in seen.items()}
    coarse = {
        name
        for output, name in linears.items()
        if min(ranges[read[output]][1], ranges[output][1]) < LEAST_DB
    }
    found: dict[str, Tensor] = {}
    for output, name in linears.items():
        if name in coarse:
            continue
        own = torch.cat([ranges[read[output]][0], ranges[output][0]])
        # A weight that several layers share has one range over all of them.
        found[name] = own if name not in found else _both(found[name], own)
    return found


def _both(one: Tensor, other: Tensor) -> Tensor:
    """A range that holds two: the lesser of the least, the greater of the greatest."""
    low, high = torch.minimum(one, other), torch.maximum(one, other)
    return torch.stack([low[0], high[1], low[2], high[3]])


@dataclass
class _Seen:
    """Extremes and a sample of one activation."""

    low: float = 0.0
    high: float = 0.0
    sample: list[Tensor] = field(default_factory=list)
    kept: int = 0

    def add(self, value: Tensor) -> None:
        self.low = min(self.low, float(value.min()))
        self.high = max(self.high, float(value.max()))
        if self.kept < _KEPT:
            flat = value.detach().flatten()
            part = flat[:: max(1, len(flat) // _EACH)].clone()
            self.sample.append(part)
            self.kept += len(part)

    def range(self) -> tuple[Tensor, float]:
        """The range with the least squared error over the sample, and what it leaves, in dB."""
        values = torch.cat(self.sample)
        tried = [(share * self.low, share * self.high) for share in _SHARES]
        errors = [float((per_tensor(*one)(values) - values).square().sum()) for one in tried]
        best = min(range(len(tried)), key=lambda place: errors[place])
        usual = float(values.abs().quantile(_USUAL))
        signal = float(values.abs().clamp(max=usual).square().sum())
        ratio = 10 * math.log10(signal / errors[best]) if signal and errors[best] else math.inf
        return torch.tensor(tried[best], dtype=torch.float32), ratio
