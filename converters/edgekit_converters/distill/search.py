"""Which layers of a teacher to keep: every subset is tried, without training, where there are few.

Where there are many, one layer after another is dropped, each time the one that is missed least.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from edgekit.errors import SpecError
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.outputs import Probe, shape_of
from edgekit_converters.distill.student import fill, shell

MOST_SUBSETS = 70  # 8 layers, 4 of them


@dataclass(frozen=True)
class Tried:
    """One subset.

    Attributes:
        layers: counted from 0.
        fidelity: without training.
    """

    layers: tuple[int, ...]
    fidelity: float


def search(
    teacher: nn.Module,
    pooling: nn.Module | None,
    count: int,
    measure: Measure,
    say: Callable[[str], None] = lambda line: None,
) -> list[Tried]:
    """Find the layers that keep most of a teacher.

    Args:
        teacher: not changed.
        pooling: of the task.
        count: layers to keep.
        measure: what fidelity is.
        say: told how far it is.

    Returns:
        All subsets of that size that were tried, the best first; of equal ones the lower layers.

    Raises:
        SpecError: the teacher has not so many layers.
        Unsupported: it has no single list of layers.
    """
    layers = shape_of(teacher).layers
    if not 1 <= count <= layers:
        raise SpecError(f"{count} layers cannot be kept of {layers}", hint=f"From 1 to {layers}.")
    found = _all if math.comb(layers, count) <= MOST_SUBSETS else _dropped
    tried = list(found(teacher, pooling, count, measure, say))
    return sorted(tried, key=lambda one: (-one.fidelity, one.layers))


def _all(
    teacher: nn.Module, pooling: nn.Module | None, count: int, measure: Measure, say: Any
) -> Iterator[Tried]:
    subsets = list(itertools.combinations(range(shape_of(teacher).layers), count))
    student = None
    for number, subset in enumerate(subsets):
        student = _of(teacher, subset, student)
        yield Tried(subset, measure(Probe(student, pooling)).fidelity)
        if number % 10 == 9 or number + 1 == len(subsets):
            say(f"tried {number + 1} of {len(subsets)} subsets of {count} layers")


def _dropped(
    teacher: nn.Module, pooling: nn.Module | None, count: int, measure: Measure, say: Any
) -> Iterator[Tried]:
    left = tuple(range(shape_of(teacher).layers))
    while len(left) > count:
        student = None
        round_ = []
        for index in range(len(left)):
            subset = left[:index] + left[index + 1 :]
            student = _of(teacher, subset, student)
            round_.append(Tried(subset, measure(Probe(student, pooling)).fidelity))
        left = max(round_, key=lambda one: one.fidelity).layers
        say(f"{len(left)} layers left: {','.join(map(str, left))}")
    if len(left) == shape_of(teacher).layers:
        yield Tried(left, 1.0)
    else:
        yield from round_


def _of(teacher: nn.Module, subset: tuple[int, ...], again: nn.Module | None) -> nn.Module:
    """A student of these layers, in the memory of the previous one where there is one."""
    whole: Any = teacher
    # Per-layer settings differ between subsets; only then a new shell is needed.
    student = again if again is not None and not _by_layer(whole) else shell(teacher, subset)
    fill(student, teacher, subset)
    return student


def _by_layer(model: Any) -> bool:
    return bool(getattr(model.config, "layer_types", None))
