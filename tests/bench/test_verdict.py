"""The rule of a comparison: what is a regression, and how often noise is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bench.verdict import FLOOR, QUICK_FLOOR, judge


def run(
    draw: np.random.Generator, middle: float, *, blocks: int = 3, between: float = 0.01
) -> list[np.ndarray]:
    """A run whose blocks differ by ``between`` (share) and whose samples by 2 %."""
    moments = middle * (1 + between * draw.standard_normal(blocks))
    return [draw.normal(moment, 0.02 * moment, 200) for moment in moments]


def test_a_slower_run_is_named_with_its_ratio() -> None:
    draw = np.random.default_rng(0)
    found = judge(run(draw, 5.0), run(draw, 6.0))
    assert found.word == "slower"
    assert found.ratio == pytest.approx(1.2, rel=0.03)
    assert found.low is not None
    assert found.high is not None
    assert 1 < found.low < found.ratio < found.high
    assert found.reason == ""


def test_a_faster_run_is_named_too() -> None:
    draw = np.random.default_rng(0)
    found = judge(run(draw, 6.0), run(draw, 5.0))
    assert found.word == "faster"
    assert found.as_dict()["ratio"] < 0.87


def test_a_difference_below_the_floor_is_none() -> None:
    draw = np.random.default_rng(0)
    found = judge(run(draw, 5.0, between=0.0001), run(draw, 5.1, between=0.0001))
    assert (found.word, found.reason) == ("no difference seen", "within 3%")
    assert (
        judge(run(draw, 5.0, between=0.0001), run(draw, 5.1, between=0.0001), floor=0.01).word
        == "slower"
    )


def test_a_difference_within_the_spread_is_none() -> None:
    first = [np.full(50, middle) for middle in (5.0, 5.05, 5.3)]
    second = [np.full(50, middle) for middle in (5.4, 5.45, 5.7)]
    found = judge(first, second)
    assert found.word == "no difference seen"
    assert "spread of both runs (11.9%)" in found.reason
    apart = judge(first, [block + 1 for block in second])
    assert apart.word == "slower"


def test_on_a_disturbed_machine_the_middle_halves_must_lie_apart() -> None:
    draw = np.random.default_rng(1)
    first = [draw.lognormal(2.0, 0.4, 60) for _ in range(2)]
    second = [block * 1.4 for block in first]
    assert judge(first, second).word == "slower"
    found = judge(first, second, disturbed=True)
    assert (found.word, "middle halves" in found.reason) == ("no difference seen", True)
    assert judge(first, [block * 3 for block in first], disturbed=True).word == "slower"
    assert judge([block * 3 for block in first], first, disturbed=True).word == "faster"


def test_one_block_is_not_enough() -> None:
    one = [np.full(50, 5.0)]
    assert judge(one, [*one, *one]).word == "cannot tell"
    assert judge([*one, *one], []).word == "cannot tell"
    assert judge([np.zeros(3)] * 2, [*one, *one]).word == "cannot tell"


@pytest.mark.parametrize(("blocks", "floor", "most"), [(3, FLOOR, 5), (2, QUICK_FLOOR, 5)])
def test_noise_is_seldom_taken_for_a_difference(blocks: int, floor: float, most: int) -> None:
    """200 pairs of runs of the same program whose blocks differ by 2 %."""
    draw = np.random.default_rng(5)
    words = [
        judge(
            run(draw, 5.0, blocks=blocks, between=0.02),
            run(draw, 5.0, blocks=blocks, between=0.02),
            floor=floor,
        ).word
        for _ in range(200)
    ]
    assert 200 - words.count("no difference seen") <= most


def test_a_fifth_slower_is_nearly_always_found() -> None:
    draw = np.random.default_rng(6)
    words = [judge(run(draw, 5.0), run(draw, 6.0)).word for _ in range(100)]
    assert words.count("slower") >= 98
