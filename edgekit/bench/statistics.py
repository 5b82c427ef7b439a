"""Times as they arrive in bounded memory, their figures, and intervals by the bootstrap.

Samples of one block share a moment of the machine, so an interval that took them for independent
would be far too narrow: blocks are drawn first, then samples inside the drawn blocks.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_KEPT = 1_000_000
MOST_POINTS = 1_000
DRAWS = 1_000
CONFIDENCE = 0.95
_AT_ONCE = 50


class Series:
    """Numbers of one block in the order of their arrival.

    Every number counts for ``count``, ``minimum``, ``mean`` and ``cv``. Past ``most`` numbers every
    second one is dropped and from then on only every second one kept, and so on: memory is flat
    and what is kept still covers the whole block evenly.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.count = 0
        self.minimum = math.inf
        self._most = most
        self._kept = array("d")
        self._stride = 1
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Take one number."""
        if self.count % self._stride == 0:
            self._kept.append(value)
            if len(self._kept) == self._most:
                self._kept = self._kept[::2]
                self._stride *= 2
        self.count += 1
        self.minimum = min(self.minimum, value)
        step = value - self._mean
        self._mean += step / self.count
        self._squares += step * (value - self._mean)

    @property
    def kept(self) -> Floats:
        """The kept numbers in the order of their arrival."""
        return np.array(self._kept, dtype=np.float64)

    @property
    def cv(self) -> float:
        """Standard deviation of all numbers over their mean; 0 for fewer than two."""
        if self.count < 2 or self._mean <= 0:
            return 0.0
        return math.sqrt(self._squares / (self.count - 1)) / self._mean


def points(values: Floats, most: int = MOST_POINTS) -> Floats:
    """At most ``most`` numbers that stand for all: the values themselves, or even quantiles."""
    if len(values) <= most:
        return values
    shares = (np.arange(most) + 0.5) / most
    return np.asarray(np.quantile(values, shares, method="inverted_cdf"), dtype=np.float64)


def core_cv(values: Floats) -> float:
    """CV of the middle nine tenths: how steady a block was, single interrupted calls left out."""
    if len(values) < 2:
        return 0.0
    ordered = np.sort(values)
    cut = len(ordered) // 20
    middle = ordered[cut : len(ordered) - cut]
    return float(np.std(middle, ddof=1) / np.mean(middle)) if np.mean(middle) > 0 else 0.0


@dataclass(frozen=True)
class Figures:
    """What one series of times comes to, in the unit of the series.

    ``low`` and ``high`` bound the 95 % bootstrap interval of the median. A percentile is None when
    there are too few numbers to have one: p99 takes 100, p95 20, p90 10.
    """

    n: int
    median: float
    low: float
    high: float
    p90: float | None
    p95: float | None
    p99: float | None
    minimum: float
    cv: float


def figures(blocks: Sequence[Floats], seed: int, *, n: int | None = None) -> Figures:
    """Figures of several blocks of one setting taken together.

    Args:
        blocks: numbers, or the points that stand for them, a block each; none empty.
        seed: of the bootstrap.
        n: how many numbers the points stand for; their own number unless given.
    """
    pooled = np.concatenate(blocks)
    count = len(pooled) if n is None else n
    low, high = interval(medians(blocks, np.random.default_rng(seed)))
    mean = float(np.mean(pooled))
    return Figures(
        n=count,
        median=float(np.median(pooled)),
        low=low,
        high=high,
        p90=_percentile(pooled, 90, count),
        p95=_percentile(pooled, 95, count),
        p99=_percentile(pooled, 99, count),
        minimum=float(np.min(pooled)),
        cv=float(np.std(pooled, ddof=1) / mean) if len(pooled) > 1 and mean > 0 else 0.0,
    )


def medians(
    blocks: Sequence[Floats],
    draw: np.random.Generator,
    chosen: NDArray[np.int64] | None = None,
) -> Floats:
    """Bootstrap draws of the median: blocks with replacement, then numbers inside each.

    Args:
        blocks: numbers, a block each.
        draw: the generator.
        chosen: ``(draws, blocks)``, which blocks each draw takes; drawn unless given. The same
            choice for two settings pairs them by round.
    """
    chosen = choices(len(blocks), draw) if chosen is None else chosen
    sizes = np.array([len(block) for block in blocks])
    starts = np.cumsum(sizes) - sizes
    pooled = np.concatenate(blocks)
    # Blocks weigh the same: each drawn one gives as many numbers as a block has on average.
    width = round(float(np.mean(sizes)))
    found = np.empty(len(chosen))
    for begin in range(0, len(chosen), _AT_ONCE):
        rows = chosen[begin : begin + _AT_ONCE]
        inside = draw.random((*rows.shape, width), dtype=np.float32)
        places = starts[rows][..., None] + (inside * sizes[rows][..., None]).astype(np.int64)
        found[begin : begin + _AT_ONCE] = np.median(pooled[places].reshape(len(rows), -1), axis=1)
    return found


def choices(count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Which of ``count`` blocks each draw takes."""
    return draw.integers(0, count, (DRAWS, count))


def interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of bootstrap draws."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def ratio_draws(first: Sequence[Floats], second: Sequence[Floats], seed: int) -> Floats:
    """Bootstrap draws of median(second) / median(first), paired by block where they are as many."""
    draw = np.random.default_rng(seed)
    chosen = choices(len(first), draw)
    below = medians(first, draw, chosen)
    above = medians(second, draw, chosen if len(first) == len(second) else None)
    return above / below


def _percentile(values: Floats, percent: int, count: int) -> float | None:
    return float(np.percentile(values, percent)) if count * (100 - percent) >= 100 else None
