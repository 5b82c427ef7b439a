"""Time XNNPACK's linear layers on this machine: a small program of each kind, all in turn.

Each program holds several copies of one linear, as wide apart in memory as in a model. How it is
timed is ``clock``'s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit_converters.export.capture import MIN_LENGTH, Captured
from edgekit_converters.export.delegates import xnnpack
from edgekit_converters.quantize import executorch_writer
from edgekit_converters.quantize.plan import FP32, Setting
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.search.clock import Program, milliseconds
from edgekit_converters.quantize.units import units
from edgekit_converters.quiet import quiet

_COPIES = 4
# float32 bytes of one program's weights: a vocabulary's linear comes alone.
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Kind:
    """A linear layer as a kernel sees it.

    Attributes:
        rows: output channels.
        columns: input channels.
        bits: 32, 8 or 4.
        group: columns that share a scale; 0 for one scale a row.
    """

    rows: int
    columns: int
    bits: int
    group: int = 0

    @property
    def label(self) -> str:
        """As the table's file calls it."""
        return f"{self.rows}x{self.columns} {Setting(self.bits, self.group).label}"


# Milliseconds of one linear of a kind, by kind and tokens.
Times = dict[tuple[Kind, int], float]


def measure(wanted: Collection[Kind], lengths: Sequence[int], seconds: float) -> Times:
    """Make a program of every kind and time them in turn, each length for itself."""
    order, longest = list(wanted), max(lengths)
    copies = [max(1, min(_COPIES, _MOST_BYTES // (4 * one.rows * one.columns))) for one in order]
    times: Times = {}
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for number, (one, count) in enumerate(zip(order, copies, strict=True)):
            paths.append(Path(scratch) / f"{number}.pte")
            with quiet():
                paths[-1].write_bytes(_program(one, count, longest))
        for length in lengths:
            programs = [
                Program(path, _signature(one, longest), _input(one, length))
                for one, path in zip(order, paths, strict=True)
            ]
            found = milliseconds(programs, seconds / len(lengths))
            for one, count, took in zip(order, copies, found, strict=True):
                times[one, length] = took / count
    return times


class _Copies(nn.Module):
    """Linears of one shape, each with an activation of its own to round."""

    def __init__(self, one: Kind, copies: int) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(0)
        self.linears = nn.ModuleList(nn.Linear(one.columns, one.rows) for _ in range(copies))
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=made) / one.columns**0.5
            parameter.requires_grad_(False)

    def forward(self, activation: Tensor) -> Tensor:
        """``(1, tokens, columns)`` to ``(1, tokens, rows)``."""
        first, *others = self.linears
        total: Tensor = first(activation)
        for number, linear in enumerate(others, start=1):
            total = total + linear(activation * (1 + number / 8))
        return total


def _program(one: Kind, copies: int, longest: int) -> bytes:
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower

    example = (torch.zeros(1, min(16, longest), one.columns),)
    dynamic: Any = ({1: torch.export.Dim("tokens", min=MIN_LENGTH, max=longest)},)
    program = torch.export.export(
        _Copies(one, copies), example, dynamic_shapes=dynamic, strict=False
    )
    captured = Captured(program, example, dynamic, _signature(one, longest))
    if one.bits != FP32:
        graph = captured.module()
        dtype = torch.bfloat16 if one.group else torch.float32
        grids = {
            unit.name: nearest.fit(
                graph.get_parameter(unit.name).detach(), one.bits, one.group, scale_dtype=dtype
            )
            for unit in units(graph)
        }
        for name, grid in grids.items():
            graph.get_parameter(name).data = grid.dequantized()
        executorch_writer.apply(graph, grids)
        captured = captured.again(graph)
    edge = to_edge_transform_and_lower(captured.program, **xnnpack.lowering())
    lowered = edge.to_executorch(ExecutorchBackendConfig(extract_delegate_segments=True))
    return bytes(lowered.buffer)


def _signature(one: Kind, longest: int) -> Signature:
    batch = Dim(name="batch", minimum=1, maximum=1)
    tokens = Dim(name="tokens", minimum=MIN_LENGTH, maximum=longest)

    def spec(name: str, size: int) -> TensorSpec:
        features = Dim(name="features", minimum=size, maximum=size)
        return TensorSpec(name=name, dtype="float32", dims=(batch, tokens, features))

    return Signature(inputs=(spec("activation", one.columns),), outputs=(spec("sum", one.rows),))


def _input(one: Kind, length: int) -> dict[str, NDArray[Any]]:
    shape = (1, length, one.columns)
    return {"activation": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
