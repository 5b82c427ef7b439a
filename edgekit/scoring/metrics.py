"""Metrics over marks, their intervals, and differences by the paired bootstrap.

A mark is a few numbers about one row of data, as its kind defines them; a metric is a function of
the matrix of marks ``(rows, fields)``. Two contestants are resampled with the same rows, so what is
hard for both does not widen the interval of their difference (Efron and Tibshirani 1993;
Koehn 2004 for its use on language).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bench.statistics import interval
from edgekit.testing.labelled import wilson

Matrix = NDArray[np.float64]
Weights = NDArray[np.float64]

DRAWS = 1000
# Of a figure: less than this is how floats are rounded.
_ROUNDING = 1e-5
_LEAST_DRAWS = 100
# Rows that are visited in all draws together, with weights and one by one.
_FAST_WORK, _SLOW_WORK = 200_000_000, 1_500_000


@dataclass(frozen=True)
class Metric:
    """A figure of a matrix of marks.

    Attributes:
        name: as people write it.
        of: the figure; NaN where the rows do not define it.
        weighted: the same figure where each row counts so often as its weight says, quickly;
            without it a resample is a matrix of its own.
        share: the column of zeros and ones that it is the mean of, where it is one: Wilson's
            interval then holds for few rows and at the ends.
        better: 1 where more is better, -1 where less is.
    """

    name: str
    of: Callable[[Matrix], float]
    weighted: Callable[[Matrix, Weights], float] | None = None
    share: Callable[[Matrix], NDArray[np.float64]] | None = None
    better: int = 1


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all None where the rows do not define it.

    ``draws`` are the bootstrap's, for differences.
    """

    value: float | None
    low: float | None
    high: float | None
    draws: NDArray[np.float64] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Change:
    """What a contestant's figure is more than the first one's, with its 95 % interval.

    A change up to ``rounding`` is that of floats, which another order of the same sums makes.
    """

    value: float
    low: float
    high: float
    rounding: float = 0.0

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out no change, and the change is more than rounding."""
        return (self.low > 0 or self.high < 0) and abs(self.value) > self.rounding


def estimate(metric: Metric, marks: Matrix, seed: int = 0) -> Estimate:
    """A metric with its interval.

    Args:
        metric: which.
        marks: ``(rows, fields)``.
        seed: the same seed and number of rows give the same resamples, which is what pairs them.
    """
    value = _figure(metric.of, marks)
    if value is None:
        return Estimate(None, None, None, np.empty(0))
    draws = _draws(metric, marks, seed)
    known = draws[np.isfinite(draws)]
    if metric.share is not None:
        column = metric.share(marks)
        share = wilson(round(float(column.sum())), len(column))
        return Estimate(value, share.low, share.high, draws)
    if len(known) < _LEAST_DRAWS // 2:
        return Estimate(value, None, None, draws)
    low, high = interval(known)
    return Estimate(value, low, high, draws)


def change(first: Estimate, other: Estimate) -> Change | None:
    """The difference of two estimates over the same rows; None where one is not defined."""
    if first.value is None or other.value is None or len(first.draws) != len(other.draws):
        return None
    differences = other.draws - first.draws
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return None
    low, high = interval(differences)
    rounding = _ROUNDING * max(abs(first.value), abs(other.value))
    return Change(other.value - first.value, low, high, rounding)


def mean_of(name: str, column: int, *, share: bool = False, better: int = 1) -> Metric:
    """The mean of a column of marks; with ``share`` a column of zeros and ones."""
    return Metric(
        name,
        lambda marks: float(marks[:, column].mean()),
        lambda marks, weights: float(weights @ marks[:, column] / weights.sum()),
        (lambda marks: marks[:, column]) if share else None,
        better,
    )


def ratio_of(
    name: str,
    columns: Sequence[tuple[float, int]],
    below: Sequence[tuple[float, int]],
    *,
    then: Callable[[float], float] = lambda value: value,
    better: int = 1,
) -> Metric:
    """A function of a ratio of sums of columns: micro-averages, perplexities.

    Args:
        name: of the metric.
        columns: factor and column of each sum above the line.
        below: the same below the line; NaN where that is 0.
        then: what is done to the ratio.
        better: see ``Metric``.
    """

    def weighted(marks: Matrix, weights: Weights) -> float:
        sums = weights @ marks
        above = sum(factor * float(sums[column]) for factor, column in columns)
        under = sum(factor * float(sums[column]) for factor, column in below)
        return _safe(then, above / under) if under else math.nan

    return Metric(
        name,
        lambda marks: weighted(marks, np.ones(len(marks))),
        weighted,
        better=better,
    )


def perplexity(nats: float) -> float:
    """e to the mean surprise; infinite where that is past all floats."""
    return math.exp(nats) if nats < 700 else math.inf


def _safe(function: Callable[[float], float], value: float) -> float:
    return float(function(value))


def _figure(of: Callable[[Matrix], float], marks: Matrix) -> float | None:
    """The figure; None where the library cannot tell (one class alone, constant scores)."""
    import warnings

    if not len(marks):
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            found = float(of(marks))
        except ValueError:
            return None
    return found if math.isfinite(found) else None


def _draws(metric: Metric, marks: Matrix, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    count = len(marks)
    work = _FAST_WORK if metric.weighted is not None else _SLOW_WORK
    draws = int(min(DRAWS, max(_LEAST_DRAWS, work // max(count, 1))))
    found = np.empty(draws)
    for at in range(draws):
        chosen = random.integers(0, count, count)
        if metric.weighted is not None:
            weights = np.bincount(chosen, minlength=count).astype(np.float64)
            found[at] = metric.weighted(marks, weights)
        else:
            figure = _figure(metric.of, marks[chosen])
            found[at] = math.nan if figure is None else figure
    return found


def as_dict(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON-able data."""
    return {"value": found.value, "low": found.low, "high": found.high}
