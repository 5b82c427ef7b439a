"""What is done to each tensor: the plan that a calibration follows and a ledger answers to."""

from __future__ import annotations

from dataclasses import dataclass

FP32 = 32
TABLE_BITS = (FP32, 8, 4, 2)
LINEAR_BITS = (FP32, 8, 4)

# The reason of what a scheme, a recipe or a search chose to leave in fp32: no loss of coverage.
NOT_ASKED = "not asked for"

# Widths that the 4-bit kernels of XNNPACK and ONNX Runtime share; the smallest is the truest.
GROUPS = (32, 64, 128)


@dataclass(frozen=True)
class Setting:
    """How one tensor is stored.

    Attributes:
        bits: 32 (left alone), 8, 4 or 2.
        group: columns that share a scale; 0 for one scale a row.
        reason: why it was left alone or stored otherwise than asked for.
    """

    bits: int
    group: int = 0
    reason: str = ""

    @property
    def label(self) -> str:
        """As a ledger prints it."""
        if self.bits == FP32:
            return "fp32"
        return f"int{self.bits}" + (f" group {self.group}" if self.group else " per row")


@dataclass(frozen=True)
class Unit:
    """A tensor that can be quantized.

    Attributes:
        name: the graph's name of it.
        kind: ``linear`` or ``table``.
        rows: output channels, or entries of a table.
        columns: input channels, or a table's width.
        activation: name of the node that a linear reads; linears with the same one share an
            activation. Empty for a table.
        outputs: names of the nodes that compute with it, in graph order.
    """

    name: str
    kind: str
    rows: int
    columns: int
    activation: str
    outputs: tuple[str, ...]

    @property
    def elements(self) -> int:
        """How many weights it has."""
        return self.rows * self.columns


def stored_bytes(unit: Unit, setting: Setting) -> int:
    """Bytes of the integers and their scales in an artifact; fp32 when left alone.

    Scales of groups count as two bytes, which they are wherever that is exact (``Grid.halves``);
    one for a row has four.
    """
    if setting.bits == FP32:
        return 4 * unit.elements
    packed = unit.rows * -(-unit.columns * setting.bits // 8)
    groups = -(-unit.columns // setting.group) if setting.group else 1
    width = 2 if setting.group else 4
    return packed + unit.rows * groups * width
