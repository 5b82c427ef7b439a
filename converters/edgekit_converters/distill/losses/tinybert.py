"""TinyBERT's transformer distillation: attention maps, hidden states and embeddings, layer by
layer, with learned projections (Jiao et al. 2019, arXiv 1909.10351).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.distill.losses import Names
from edgekit_converters.distill.outputs import Batch, Outputs, Shape, pair_mask
from edgekit_converters.distill.pairing import all_pairs
from edgekit_converters.distill.projections import Projections, between

TASKS = ("embedding", "classes", "tokens")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        attention: weight of the attention maps; 0 leaves them out, as it must be where the models
            have different numbers of heads.
        hidden: weight of the hidden states.
        embedding: weight of the embedding layer's output.
    """

    attention: float = 1.0
    hidden: float = 1.0
    embedding: float = 1.0


def needs(config: Config, student: Shape, teacher: Shape) -> Names:
    """Of every student layer and the teacher layer that it follows.

    Raises:
        SpecError: attention maps are compared and the heads do not match.
    """
    if config.attention and student.heads != teacher.heads:
        raise SpecError(
            f"tinybert compares attention maps head by head: the student has {student.heads} "
            f"heads, the teacher {teacher.heads}",
            hint="Set attention = 0 in the recipe, or use the loss relations.",
        )
    own, other = set(), set()
    for mine, theirs in all_pairs(student.layers, teacher.layers):
        own.add(f"hidden.{mine}")
        other.add(f"hidden.{theirs}")
        if config.attention:
            own.add(f"attention.{mine}")
            other.add(f"attention.{theirs}")
    return frozenset(own | {"hidden.0"}), frozenset(other | {"hidden.0"})


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """One projection for all layers and one for the embeddings, where the widths differ."""
    pairs = all_pairs(student.layers, teacher.layers)
    return Projections(
        {"hidden": between(student, teacher), "embedding": between(student, teacher)},
        tuple((str(own), str(other)) for own, other in pairs),
    )


def loss(
    student: Outputs, teacher: Outputs, batch: Batch, config: Config, parts: nn.Module | None
) -> Tensor:
    """Mean squared errors over real tokens: summed over layers."""
    assert isinstance(parts, Projections)
    real = student.mask
    first = parts("embedding", student["hidden.0"]) - teacher["hidden.0"]
    total = config.embedding * _by_token(first, real, batch)
    for own, other in parts.pairs:
        apart = parts("hidden", student[f"hidden.{own}"]) - teacher[f"hidden.{other}"]
        total = total + config.hidden * _by_token(apart, real, batch)
        if config.attention:
            maps = student[f"attention.{own}"] - teacher[f"attention.{other}"]
            total = total + config.attention * _by_pair(maps, real, batch)
    return total


def _by_token(apart: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    each = apart.square().mean(-1)
    real = mask.to(each.dtype)
    return ((each * real).sum(1) / real.sum(1) * batch.weights).mean()


def _by_pair(apart: Tensor, mask: Tensor, batch: Batch) -> Tensor:
    each = apart.square().mean(1)
    real = pair_mask(mask).to(each.dtype)
    return ((each * real).sum((1, 2)) / real.sum((1, 2)) * batch.weights).mean()
