"""Step by step: the student learns to give the label and, as a second task told apart by a prefix,
the reason (Hsieh et al. 2023, arXiv 2305.02301). Asked for a label it writes no reason, so that the
phone pays for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgekit_converters.distill.losses import Names, labels
from edgekit_converters.distill.outputs import Batch, Outputs, Shape

TASKS = ("tokens",)
TEACHER = False  # the teacher spoke when the data was written
COLUMNS = ("input", "rationale", "label")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        rationale_weight: of the reason beside the label, whose weight is 1; 0 trains labels alone.
        label_prefix: what the student is given before the input to answer.
        rationale_prefix: what it is given to explain.
    """

    rationale_weight: float = 1.0
    label_prefix: str = "[label] "
    rationale_prefix: str = "[rationale] "

    def __post_init__(self) -> None:
        if self.rationale_weight < 0:
            raise ValueError(f"rationale_weight is {self.rationale_weight}, below 0")
        if self.label_prefix == self.rationale_prefix:
            raise ValueError("both prefixes are the same: the student could not tell the tasks")


def examples(row: Mapping[str, Any], config: Config) -> list[tuple[str, str, float]]:
    """A row as prompts, what is to be written after them, and what that counts."""
    found = [(f"{config.label_prefix}{row['input']}\n", str(row["label"]), 1.0)]
    if config.rationale_weight and row.get("rationale"):
        prompt = f"{config.rationale_prefix}{row['input']}\n"
        found.append((prompt, str(row["rationale"]), config.rationale_weight))
    return found


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """The student's logits."""
    return frozenset({"logits"}), frozenset()


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Cross-entropy of what is to be written, each row with its weight."""
    return labels.loss(student, teacher, batch, labels.Config(), parts)
