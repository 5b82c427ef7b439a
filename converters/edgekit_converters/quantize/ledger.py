"""The ledger: what was done to every tensor, what it cost, or why it was left alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.plan import FP32, Setting, Unit, stored_bytes


@dataclass(frozen=True)
class Row:
    """One tensor's account.

    Attributes:
        tensor: the graph's name of it.
        kind: ``linear`` or ``table``.
        rows: output channels or entries.
        columns: input channels or width.
        bits: 32, 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.
        bytes_before: in fp32.
        bytes_after: integers and scales.
        weight_db: signal to noise of the stored weight, in dB; None when exact.
        output_db: the same of the linear's output over the calibration text, from the weight alone;
            None without calibration.
        reason: why it was left alone, or stored otherwise than asked for.
    """

    tensor: str
    kind: str
    rows: int
    columns: int
    bits: int
    group: int
    bytes_before: int
    bytes_after: int
    weight_db: float | None
    output_db: float | None
    reason: str

    @property
    def scheme(self) -> str:
        """In words."""
        return Setting(self.bits, self.group).label

    def record(self) -> dict[str, Any]:
        """JSON-able."""
        return {"scheme": self.scheme, **asdict(self)}


def row(
    unit: Unit,
    setting: Setting,
    weight: Tensor | None = None,
    grid: Grid | None = None,
    seen: Moments | None = None,
) -> Row:
    """The account of one tensor.

    Args:
        unit: the tensor.
        setting: what was decided.
        weight: its values as they were rounded (after scaling); None when left alone.
        grid: its integers.
        seen: statistics of the activation that the linear multiplies, after scaling.
    """
    weight_db = output_db = None
    bytes_after = stored_bytes(unit, setting)
    if unit.kind == "table" and grid is not None and setting.group and grid.halves is None:
        bytes_after += 2 * grid.scales.numel()
    if weight is not None and grid is not None:
        error = weight - grid.dequantized()
        weight_db = _decibel(weight.square().sum(), error.square().sum())
        if seen is not None:
            output_db = _decibel(_power(weight, seen.gram), _power(error, seen.gram))
    return Row(
        tensor=unit.name,
        kind=unit.kind,
        rows=unit.rows,
        columns=unit.columns,
        bits=setting.bits,
        group=setting.group,
        bytes_before=4 * unit.elements,
        bytes_after=bytes_after,
        weight_db=weight_db,
        output_db=output_db,
        reason=setting.reason,
    )


def coverage(rows: Sequence[Row]) -> float:
    """Quantized bytes over quantizable bytes, both in fp32; 1 when there is nothing to quantize."""
    every = sum(row.bytes_before for row in rows)
    done = sum(row.bytes_before for row in rows if row.bits != FP32)
    return done / every if every else 1.0


def saved(rows: Sequence[Row]) -> int:
    """Bytes that quantization takes off."""
    return sum(row.bytes_before - row.bytes_after for row in rows)


def _power(weight: Tensor, gram: Tensor) -> Tensor:
    """Mean squared output of a linear over the calibration tokens."""
    return ((weight @ gram) * weight).sum()


def _decibel(signal: Tensor, noise: Tensor) -> float | None:
    if float(noise) <= 0.0:
        return None
    ratio = max(float(signal), 1e-30) / float(noise)
    return round(10 * math.log10(ratio), 2)
