"""The labels alone, without a teacher: cross-entropy; the control of every other loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import InputRefused
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, average

TASKS = ("classes", "tokens")
TEACHER = False


@dataclass(frozen=True)
class Config:
    """No settings."""


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """The student's logits."""
    return frozenset({"logits"}), frozenset()


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Cross-entropy; positions labelled -100 do not count."""
    if batch.labels is None:
        raise InputRefused(
            "the loss labels needs labels, and the data has none",
            hint='Add a column "label" to the data, or choose another --loss.',
        )
    logits = student["logits"]
    if batch.labels.dtype.is_floating_point:
        return average(F.mse_loss(logits[:, 0], batch.labels, reduction="none"), batch)
    if logits.dim() == 2:
        return average(F.cross_entropy(logits, batch.labels, reduction="none"), batch)
    each = F.cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none")
    known = (batch.labels != -100).to(each.dtype)
    by_text = (each * known).sum(1) / known.sum(1).clamp(min=1.0)
    return (by_text * batch.weights).mean()
