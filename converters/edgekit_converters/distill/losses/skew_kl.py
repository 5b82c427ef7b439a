"""Skew KL: the teacher against a mix of both, which is gentle where the student knows nothing yet
(Ko et al. 2024, DistiLLM, arXiv 2402.03898; without its adaptive replay).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.divergences import skew
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        alpha: the teacher's share in the mix; 0 is forward KL.
    """

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha < 1.0:
            raise ValueError(f"alpha is {self.alpha}, not from 0 to below 1")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits of both."""
    return frozenset({"logits"}), frozenset({"logits"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """``KL(teacher || alpha teacher + (1 - alpha) student)``."""
    return average(skew(teacher["logits"], student["logits"], config.alpha), batch)
