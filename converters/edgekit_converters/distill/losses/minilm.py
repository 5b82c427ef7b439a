"""MiniLM: attention distributions and value relations of the last layer (Wang et al. 2020, arXiv
2002.10957). Heads must match; widths are free.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape
from edgekit_converters.distill.relating import map_loss, relation_loss

TASKS = ("embedding", "classes", "tokens")


@dataclass(frozen=True)
class Config:
    """No settings."""


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Attention and values of the last layers.

    Raises:
        SpecError: the models have different numbers of heads.
    """
    if student.heads != teacher.heads:
        raise SpecError(
            f"minilm compares head by head: the student has {student.heads} heads, the teacher "
            f"{teacher.heads}",
            hint="Use the loss relations, which regroups heads.",
        )
    return (
        frozenset({f"attention.{student.layers}", f"values.{student.layers}"}),
        frozenset({f"attention.{teacher.layers}", f"values.{teacher.layers}"}),
    )


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """``KL`` of the attention distributions plus ``KL`` of the value relations."""
    own, other = _named(student, "attention"), _named(teacher, "attention")
    maps = map_loss(own, other, student.mask)
    heads = own.shape[1]
    values = relation_loss(
        _named(student, "values"), _named(teacher, "values"), student.mask, heads, heads
    )
    return ((maps + values) * batch.weights).mean()


def _named(outputs: Outputs, kind: str) -> Tensor:
    (name,) = (name for name in outputs.named if name.startswith(f"{kind}."))
    return outputs[name]
