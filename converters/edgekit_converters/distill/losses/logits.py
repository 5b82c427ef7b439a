"""Soft targets: the teacher's probabilities at a temperature (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.divergences import kl
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        temperature: flattens both distributions; the loss is scaled by its square, so that
            gradients keep their size.
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}, not above 0")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits of both."""
    return frozenset({"logits"}), frozenset({"logits"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """``T^2 KL(teacher || student)`` of the softened distributions."""
    heat = config.temperature
    apart = kl(teacher["logits"] / heat, student["logits"] / heat)
    return heat**2 * average(apart, batch)
