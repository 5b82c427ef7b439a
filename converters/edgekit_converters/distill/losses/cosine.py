"""The angle between the student's and the teacher's vector of a text (Reimers and Gurevych 2020,
arXiv 2004.09813, with cosine for the squared error).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

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
    """Mean of ``1 - cos``."""
    assert parts is not None
    apart = F.cosine_similarity(parts(student["embedding"]), teacher["embedding"], dim=-1)
    return average(1.0 - apart, batch)
