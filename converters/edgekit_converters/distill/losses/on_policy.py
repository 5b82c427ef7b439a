"""On-policy distillation: the student writes, the teacher judges each token (Agarwal et al. 2023,
GKD, arXiv 2306.13649). For small language models: in every such step the student is run token by
token.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.divergences import jensen_shannon
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("tokens",)
SAMPLES = True  # the trainer replaces this share of the batches by what the student writes


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        share: of the batches that the student writes itself.
        prompt: tokens of each text that it is given to go on from.
        tokens: that it writes.
        beta: see the loss ``jsd``.
        temperature: of its sampling.
    """

    share: float = 0.5
    prompt: int = 8
    tokens: int = 24
    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share is {self.share}, not from 0 to 1")
        if self.prompt < 1 or self.tokens < 1:
            raise ValueError("prompt and tokens are 1 or more")
        if not 0.0 < self.beta < 1.0 or self.temperature <= 0.0:
            raise ValueError("beta is between 0 and 1, temperature above 0")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits of both."""
    return frozenset({"logits"}), frozenset({"logits"})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Generalized Jensen-Shannon divergence over the tokens that count."""
    return average(jensen_shannon(teacher["logits"], student["logits"], config.beta), batch)
