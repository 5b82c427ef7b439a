"""The additive check: do the losses of single groups, summed, predict mixes of all of them?"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgekit_converters.quantize.search.sensitivity import (
    Arguments,
    Option,
    Rows,
    Sensitivity,
    losses,
    merged,
)
from edgekit_converters.quantize.simulate import Simulation


@dataclass(frozen=True)
class Mix:
    """One choice for every group, predicted and measured."""

    amounts: Mapping[str, str]
    predicted_mean: float
    measured_mean: float
    predicted_worst: float
    measured_worst: float


@dataclass(frozen=True)
class Additivity:
    """How well sums of single losses predict mixes.

    Attributes:
        mixes: what was tried.
        mean_correlation: of predicted with measured mean losses, -1..1.
        worst_correlation: the same for the worst text.
        mean_ratio: median of measured by predicted mean loss.
        worst_ratio: the same for the worst text.
    """

    mixes: tuple[Mix, ...]
    mean_correlation: float
    worst_correlation: float
    mean_ratio: float
    worst_ratio: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for a report."""
        return asdict(self)


def additivity(
    simulation: Simulation,
    offered: Mapping[str, Sequence[Option]],
    scanned: Sequence[Sensitivity],
    inputs: Sequence[Arguments],
    rows: Rows | None = None,
    count: int = 6,
    seed: int = 0,
) -> Additivity:
    """Hold sums of single losses against mixes that were run.

    Tried are, for every amount that several groups offer, all of them with it, then ``count``
    random mixes. A group that lacks an amount stays as its first option is.

    Args:
        simulation: of the float32 graph.
        offered: options by group.
        scanned: what ``scan`` found with the same inputs.
        inputs: real text.
        rows: as in ``scan``.
        count: random mixes.
        seed: of the draw.
    """
    mixes = _uniform(offered)
    draw = random.Random(seed)
    for _ in range(count):
        mixes.append({group: draw.choice(list(many)).amount for group, many in offered.items()})
    single = {(one.group, one.amount): np.array(one.losses) for one in scanned}
    measured = losses(simulation, [merged(offered, mix) for mix in mixes], inputs, rows)
    tried = []
    for mix, found in zip(mixes, measured, strict=True):
        expected = np.sum([single[group, amount] for group, amount in mix.items()], axis=0)
        means = float(expected.mean()), float(found.mean())
        tried.append(Mix(mix, *means, float(expected.max()), float(found.max())))
    mean = _agreement([(mix.predicted_mean, mix.measured_mean) for mix in tried])
    worst = _agreement([(mix.predicted_worst, mix.measured_worst) for mix in tried])
    return Additivity(tuple(tried), mean[0], worst[0], mean[1], worst[1])


def _uniform(offered: Mapping[str, Sequence[Option]]) -> list[dict[str, str]]:
    """Mixes in which as many groups as can have the same amount; those that change something."""
    shared: dict[str, int] = {}
    for many in offered.values():
        for option in many:
            if option.variant:
                shared[option.amount] = shared.get(option.amount, 0) + 1
    return [
        {
            group: amount if any(o.amount == amount for o in many) else many[0].amount
            for group, many in offered.items()
        }
        for amount, holders in shared.items()
        if holders > 1
    ]


def _agreement(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Correlation, and the median ratio of the second to the first."""
    predicted, measured = np.array(pairs).T
    if predicted.std() == 0 or measured.std() == 0:
        correlation = 1.0 if np.allclose(predicted, measured) else 0.0
    else:
        correlation = float(np.corrcoef(predicted, measured)[0, 1])
    moved = predicted > 0
    ratio = float(np.median(measured[moved] / predicted[moved])) if moved.any() else 1.0
    return correlation, ratio
