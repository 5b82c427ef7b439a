"""How alike the texts of a batch are to each other: the matrix of cosines follows the teacher's
(Tung and Mori 2019, arXiv 1907.09682, on sentence vectors). Widths are free.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape

TASKS = ("embedding",)


@dataclass(frozen=True)
class Config:
    """No settings."""


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """The texts' vectors."""
    return frozenset({"embedding"}), frozenset({"embedding"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Mean squared difference of the cosines of all pairs of different texts in the batch."""
    own, other = _cosines(student["embedding"]), _cosines(teacher["embedding"])
    count = own.shape[0]
    if count < 2:
        return own.sum() * 0.0
    return (own - other).square().sum() / (count * (count - 1))


def _cosines(vectors: Tensor) -> Tensor:
    unit = F.normalize(vectors, dim=-1)
    return unit @ unit.T
