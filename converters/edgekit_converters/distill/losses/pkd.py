"""Patient knowledge distillation: the first token's normalised state at chosen layers (Sun, Cheng,
Gan and Liu 2019, arXiv 1908.09355).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape
from edgekit_converters.distill.pairing import LAST, SKIP, inner_pairs
from edgekit_converters.distill.projections import Projections, between

TASKS = ("embedding", "classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        layers: which of the teacher's layers the student's follow: ``skip`` (evenly spaced) or
            ``last`` (the highest ones).
    """

    layers: str = SKIP

    def __post_init__(self) -> None:
        if self.layers not in (SKIP, LAST):
            raise ValueError(f"layers is {self.layers!r}: skip or last")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Hidden states of the paired layers."""
    pairs = inner_pairs(student.layers, teacher.layers, config.layers)
    return (
        frozenset(f"hidden.{own}" for own, _ in pairs),
        frozenset(f"hidden.{other}" for _, other in pairs),
    )


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """A projection a pair where the widths differ."""
    pairs = inner_pairs(student.layers, teacher.layers, config.layers)
    return Projections(
        {str(own): between(student, teacher) for own, _ in pairs},
        tuple((f"hidden.{own}", f"hidden.{other}") for own, other in pairs),
    )


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Mean over pairs of the squared distance of the normalised first tokens."""
    assert isinstance(parts, Projections)
    total = student[parts.pairs[0][0]].new_zeros(())
    for own, other in parts.pairs:
        first = F.normalize(parts(own.partition(".")[2], student[own][:, 0]), dim=-1)
        follows = F.normalize(teacher[other][:, 0], dim=-1)
        apart = (first - follows).square().sum(-1)
        total = total + (apart * batch.weights).mean()
    return total / len(parts.pairs)
