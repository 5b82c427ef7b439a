"""DistilBERT's triple loss: soft targets, labels, and the angle of the last hidden states (Sanh,
Debut, Chaumond and Wolf 2019, arXiv 1910.01108).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from edgekit_converters.distill.losses import Names, labels, logits
from edgekit_converters.distill.outputs import Batch, Outputs, Shape
from edgekit_converters.distill.projections import Projections, between

TASKS = ("classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        temperature: of the soft targets.
        soft: weight of the soft targets.
        hard: weight of the labels, where there are any.
        cosine: weight of the hidden states.
    """

    temperature: float = 2.0
    soft: float = 5.0
    hard: float = 2.0
    cosine: float = 1.0


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Logits and last hidden states."""
    return (
        frozenset({"logits", f"hidden.{student.layers}"}),
        frozenset({"logits", f"hidden.{teacher.layers}"}),
    )


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """A projection where the widths differ."""
    return Projections({"last": between(student, teacher)})


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """The weighted sum of the three."""
    assert isinstance(parts, Projections)
    total = config.soft * logits.loss(
        student, teacher, batch, logits.Config(config.temperature), None
    )
    if batch.labels is not None:
        total = total + config.hard * labels.loss(student, teacher, batch, labels.Config(), None)
    own, other = parts("last", _last(student)), _last(teacher)
    angle = 1.0 - F.cosine_similarity(own, other, dim=-1)
    mask = student.mask.to(angle.dtype)
    by_text = (angle * mask).sum(1) / mask.sum(1)
    return total + config.cosine * (by_text * batch.weights).mean()


def _last(outputs: Outputs) -> Tensor:
    """The hidden states of the highest layer that was kept."""
    name = max((n for n in outputs.named if n.startswith("hidden.")), key=lambda n: int(n[7:]))
    return outputs[name]
