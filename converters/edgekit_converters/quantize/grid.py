"""A weight on its integer grid: what a calibrator decides and what every artifact then carries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A scale below this would be subnormal after a kernel's own arithmetic, and is refused by some.
SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class Grid:
    """Symmetric integers with one scale for each row or for each group of columns in a row.

    Attributes:
        values: int8 ``(rows, columns)`` within ``lowest(bits)..highest(bits)``.
        scales: float32 ``(rows, groups)``; a group is ``columns / groups`` wide, rounded up: only
            the last one of a row may be narrower.
        bits: 8, 4 or 2.
        group: columns that share a scale; all of them when one scale serves a row.
        ranges: of a linear with static activations, float32 ``(4,)``: least and greatest of what it
            reads, and of what it gives; None where activations are rounded for each token.
    """

    values: Tensor
    scales: Tensor
    bits: int
    group: int
    ranges: Tensor | None = None

    def dequantized(self) -> Tensor:
        """The weight that the integers stand for, float32 ``(rows, columns)``."""
        columns = self.values.shape[1]
        scales = self.scales.repeat_interleave(self.group, dim=1)[:, :columns]
        return self.values.to(torch.float32) * scales

    @property
    def halves(self) -> Tensor | None:
        """The scales of groups as float16 ``(rows, groups)``; None where that is not exact.

        A group without a value has none to lose.
        """
        if self.per_row:
            return None
        rows, groups = self.scales.shape
        filled = torch.zeros(rows, groups * self.group, dtype=torch.bool)
        filled[:, : self.values.shape[1]] = self.values != 0
        used = filled.reshape(rows, groups, -1).any(dim=2)
        found = torch.where(used, self.scales, 1.0).half()
        return found if torch.equal(found.float()[used], self.scales[used]) else None

    @property
    def per_row(self) -> bool:
        """Whether one scale serves a whole row."""
        return self.scales.shape[1] == 1


def highest(bits: int) -> int:
    """The largest integer of a symmetric grid."""
    return int(2 ** (bits - 1)) - 1


def lowest(bits: int) -> int:
    """The smallest integer: 8 bits stay symmetric, fewer bits use the whole range.

    -128 would saturate the 16-bit sums of processors without an 8-bit dot product.
    """
    return -highest(bits) if bits == 8 else -highest(bits) - 1
