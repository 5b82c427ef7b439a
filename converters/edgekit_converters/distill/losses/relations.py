"""MiniLMv2: how queries, keys and values relate to each other, token by token, in relation heads of
their own number: student widths and heads are free (Wang, Bao, Huang, Dong and Wei 2020, arXiv
2012.15828).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape
from edgekit_converters.distill.relating import relation_loss

TASKS = ("embedding", "classes", "tokens")
_KINDS = ("queries", "keys", "values")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        heads: relation heads that both models are regrouped into; 0 for the largest number up to
            the teacher's own that divides both widths.
        layer: the teacher's layer, from 1; 0 for the last one.
    """

    heads: int = 0
    layer: int = 0

    def __post_init__(self) -> None:
        if self.heads < 0 or self.layer < 0:
            raise ValueError("heads and layer are 0 or more")


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Projections of the student's last layer and of one layer of the teacher."""
    if config.layer > teacher.layers:
        from edgekit.errors import SpecError

        raise SpecError(
            f"relations: the teacher has no layer {config.layer}",
            hint=f"It has {teacher.layers}; 0 means the last one.",
        )
    return (
        frozenset(f"{kind}.{student.layers}" for kind in _KINDS),
        frozenset(f"{kind}.{config.layer or teacher.layers}" for kind in _KINDS),
    )


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """Nothing is learned along; the module remembers the heads of the teacher."""
    return Heads(config.heads, teacher.heads)


class Heads(nn.Module):
    """How many relation heads there are."""

    def __init__(self, asked: int, most: int) -> None:
        super().__init__()
        self.asked = asked
        self.most = most


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Mean over Q-Q, K-K and V-V of ``KL(teacher || student)`` of the scaled products."""
    assert isinstance(parts, Heads)
    total = batch.weights.new_zeros(())
    for kind in _KINDS:
        own, other = _named(student, kind), _named(teacher, kind)
        apart = relation_loss(own, other, student.mask, parts.asked, parts.most)
        total = total + (apart * batch.weights).mean()
    return total / len(_KINDS)


def _named(outputs: Outputs, kind: str) -> Tensor:
    (name,) = (name for name in outputs.named if name.startswith(f"{kind}."))
    return outputs[name]
