"""Reverse KL: the student must not say what the teacher finds unlikely (Gu et al. 2023, MiniLLM,
arXiv 2306.08543; here on given texts, without its policy gradient).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.divergences import kl
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("classes", "tokens")


@dataclass(frozen=True)
class Config:
    """No settings."""


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits of both."""
    return frozenset({"logits"}), frozenset({"logits"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """``KL(student || teacher)``."""
    return average(kl(student["logits"], teacher["logits"]), batch)
