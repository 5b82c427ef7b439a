"""Generalized Jensen-Shannon divergence: between forward and reverse KL (Agarwal et al. 2023, GKD,
arXiv 2306.13649).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.divergences import jensen_shannon
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        beta: towards 0 it behaves like forward KL, towards 1 like reverse KL.
    """

    beta: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.beta < 1.0:
            raise ValueError(f"beta is {self.beta}, not between 0 and 1")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits of both."""
    return frozenset({"logits"}), frozenset({"logits"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """``beta KL(teacher || mix) + (1 - beta) KL(student || mix)``; the mix has beta teacher."""
    return average(jensen_shannon(teacher["logits"], student["logits"], config.beta), batch)
