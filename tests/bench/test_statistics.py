"""Figures against numpy and against distributions whose answer is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edgekit.bench.statistics import (
    MOST_KEPT,
    MOST_POINTS,
    Series,
    core_cv,
    figures,
    interval,
    medians,
    points,
    ratio_draws,
)

DRAW = np.random.default_rng(3)


def normal(n: int, middle: float = 5.0, cv: float = 0.02) -> np.ndarray:
    return DRAW.normal(middle, middle * cv, n)


def test_a_series_counts_all_and_keeps_it_even() -> None:
    values = normal(1000)
    series = Series(most=64)
    for value in values:
        series.add(float(value))
    assert series.count == 1000
    assert series.minimum == values.min()
    assert series.cv == pytest.approx(values.std(ddof=1) / values.mean())
    kept = series.kept
    assert 32 <= len(kept) <= 64
    stride = np.flatnonzero(values == kept[1])[0]
    assert stride in (16, 32)
    assert kept.tolist() == values[::stride].tolist()


def test_a_short_series_is_kept_whole() -> None:
    series = Series()
    for value in (3.0, 1.0, 2.0):
        series.add(value)
    assert series.kept.tolist() == [3.0, 1.0, 2.0]
    empty = Series()
    assert (empty.count, empty.cv, len(empty.kept)) == (0, 0.0, 0)


def test_memory_does_not_grow_with_the_times() -> None:
    most = 50_000
    tracemalloc.start()
    series = Series(most)
    for index in range(6 * most):
        series.add(1.0 + index % 7)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert series.count == 6 * most
    assert peak < 24 * most  # bytes: the array, once more while it is thinned
    assert MOST_KEPT * 24 < 32 * 2**20


def test_points_stand_for_the_quantiles() -> None:
    values = normal(50_000)
    few = points(values)
    assert len(few) == MOST_POINTS
    for share in (50, 90, 99):
        assert np.percentile(few, share) == pytest.approx(np.percentile(values, share), rel=1e-3)
    assert points(values[:100]) is not few
    assert points(values[:100]).tolist() == values[:100].tolist()


def test_figures_are_those_of_numpy() -> None:
    blocks = [normal(300) for _ in range(3)]
    pooled = np.concatenate(blocks)
    told = figures(blocks, seed=0)
    assert told.n == 900
    assert told.median == np.median(pooled)
    assert told.p90 == np.percentile(pooled, 90)
    assert told.p95 == np.percentile(pooled, 95)
    assert told.p99 == np.percentile(pooled, 99)
    assert told.minimum == pooled.min()
    assert told.cv == pytest.approx(pooled.std(ddof=1) / pooled.mean())
    assert told.low < told.median < told.high
    assert figures(blocks, seed=0) == told
    assert figures(blocks, seed=1) != told


@pytest.mark.parametrize(
    ("n", "known"), [(9, ""), (10, "p90"), (19, "p90"), (20, "p90 p95"), (100, "p90 p95 p99")]
)
def test_a_percentile_needs_numbers(n: int, known: str) -> None:
    told = figures([normal(n)], seed=0)
    given = [name for name in ("p90", "p95", "p99") if getattr(told, name) is not None]
    assert given == known.split()


def test_one_number_has_figures() -> None:
    told = figures([np.array([2.5])], seed=0)
    assert (told.median, told.low, told.high, told.cv) == (2.5, 2.5, 2.5, 0.0)


def test_the_interval_covers_the_true_median() -> None:
    hits = 0
    for trial in range(200):
        # The machine's moment moves each block by 1 %, more than samples inside move its median.
        blocks = [normal(60, 5.0 * (1 + 0.01 * DRAW.standard_normal())) for _ in range(5)]
        low, high = interval(medians(blocks, np.random.default_rng(trial)))
        hits += low <= 5.0 <= high
    assert hits >= 160, hits  # of 200; five blocks make a bootstrap a little narrow


def test_the_interval_is_wider_than_one_that_ignores_blocks() -> None:
    blocks = [normal(200, middle) for middle in (4.8, 5.0, 5.2)]
    low, high = interval(medians(blocks, np.random.default_rng(0)))
    flat = interval(medians([np.concatenate(blocks)], np.random.default_rng(0)))
    assert high - low > 3 * (flat[1] - flat[0])


def test_pairing_takes_a_shared_drift_out() -> None:
    drift = (1.0, 1.1, 1.2, 1.3)
    first = [normal(100, 5 * d, 0.005) for d in drift]
    second = [normal(100, 6 * d, 0.005) for d in drift]
    low, high = interval(ratio_draws(first, second, seed=0))
    assert 1.17 < low <= 1.2 <= high < 1.23
    unpaired = interval(ratio_draws(first, second[:3], seed=0))
    assert unpaired[1] - unpaired[0] > 2 * (high - low)


def test_single_interruptions_do_not_make_a_block_unsteady() -> None:
    steady = normal(200, cv=0.01)
    steady[::50] *= 10
    assert core_cv(steady) < 0.02
    assert core_cv(normal(200, cv=0.1)) > 0.05
    assert core_cv(np.array([1.0])) == 0.0
    halves = np.concatenate([normal(100, 5.0), normal(100, 6.0)])
    assert core_cv(halves) > 0.05
