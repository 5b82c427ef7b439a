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
        relative: squared errors as shares of the teacher's variance, and a mean over the states,
            so that one weight suits every model.
        layers: of the teacher, counted from 1, that the student's layers follow in turn; evenly
            spaced where none are named, 0 for a layer that follows none.
    """

    attention: float = 1.0
    hidden: float = 1.0
    embedding: float = 1.0
    relative: bool = False
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(number < 0 for number in self.layers):
            raise ValueError(f"layers are {self.layers}, counted from 1")


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
    for mine, theirs in _pairs(config, student, teacher):
        own.add(f"hidden.{mine}")
        other.add(f"hidden.{theirs}")
        if config.attention:
            own.add(f"attention.{mine}")
            other.add(f"attention.{theirs}")
    return frozenset(own | {"hidden.0"}), frozenset(other | {"hidden.0"})


def parts(config: Config, student: Shape, teacher: Shape) -> nn.Module:
    """One projection for all layers and one for the embeddings, where the widths differ."""
    pairs = _pairs(config, student, teacher)
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
    total = config.embedding * _states(parts, "embedding", ("0", "0"), student, teacher, config)
    for own, other in parts.pairs:
        apart = _states(parts, "hidden", (own, other), student, teacher, config)
        total = total + config.hidden * apart
        if config.attention:
            maps = student[f"attention.{own}"] - teacher[f"attention.{other}"]
            total = total + config.attention * _by_pair(maps, real)
    return (total * batch.weights).mean()


def _pairs(config: Config, student: Shape, teacher: Shape) -> list[tuple[int, int]]:
    if not config.layers:
        return all_pairs(student.layers, teacher.layers)
    if len(config.layers) != student.layers or max(config.layers) > teacher.layers:
        raise SpecError(
            f"tinybert: layers {list(config.layers)} are named for {student.layers} layers that "
            f"follow a teacher with {teacher.layers}",
            hint="Name one for each layer of the student, or leave layers out.",
        )
    return [(own, other) for own, other in enumerate(config.layers, start=1) if other]


def _states(
    parts: Projections,
    kind: str,
    pair: tuple[str, str],
    student: Outputs,
    teacher: Outputs,
    config: Config,
) -> Tensor:
    """Of one pair of states, ``(texts,)``."""
    target = teacher[f"hidden.{pair[1]}"]
    each = (parts(kind, student[f"hidden.{pair[0]}"]) - target).square().mean(-1)
    real = student.mask.to(each.dtype)
    found: Tensor = (each * real).sum(1) / real.sum(1)
    if not config.relative:
        return found
    states = len(parts.pairs) + 1
    share: Tensor = found / (target[student.mask.bool()].var() * states).clamp(min=1e-12)
    return share


def _by_pair(apart: Tensor, mask: Tensor) -> Tensor:
    each = apart.square().mean(1)
    real = pair_mask(mask).to(each.dtype)
    return (each * real).sum((1, 2)) / real.sum((1, 2))
