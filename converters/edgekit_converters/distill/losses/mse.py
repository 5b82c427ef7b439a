"""The squared distance between the student's and the teacher's vector of a text (Reimers and
Gurevych 2020, arXiv 2004.09813).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average
from edgekit_converters.distill.projections import to_width

TASKS = ("embedding",)


@dataclass(frozen=True)
class Config:
    """No settings."""


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """The texts' vectors."""
    return frozenset({"embedding"}), frozenset({"embedding"})


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """A projection where the widths differ: thrown away, the student keeps its own space."""
    return to_width(student, teacher)


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Mean over texts of the squared distance, divided by the teacher's squared length.

    So that a rate that suits one model suits another whose vectors are longer.
    """
    assert parts is not None
    other = teacher["embedding"]
    apart = (parts(student["embedding"]) - other).square().sum(-1)
    return average(apart / other.square().sum(-1).clamp(min=1e-12), batch)
