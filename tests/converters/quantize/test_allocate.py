"""The integer program against trying every mix, its rules, and what it says when nothing fits."""

from __future__ import annotations

import itertools
import random
import re

import numpy as np
import pytest

from edgekit.errors import CheckFailed, SpecError
from edgekit_converters.quantize.search.allocate import (
    Limits,
    Rules,
    allocate,
    solutions,
)
from edgekit_converters.quantize.search.sensitivity import Sensitivity

AMOUNTS = ("fp32", "int8", "int4")
GROUPS = tuple("abcde")
TEXTS = 7


def scanned(seed: int) -> list[Sensitivity]:
    draw = random.Random(seed)
    found = []
    for group in GROUPS:
        size = draw.randrange(1000, 9000)
        loss = [draw.uniform(0, 0.01) for _ in range(TEXTS)]
        for amount, share, worse in zip(AMOUNTS, (8, 2, 1), (0.0, 0.05, 1.0), strict=True):
            wobble = [draw.uniform(0.5, 1.5) * worse * one for one in loss]
            found.append(Sensitivity(group, amount, share * size, tuple(wobble)))
    return found


TIMES = {"fp32": 3.0, "int8": 1.0, "int4": 1.2}


def times(of: list[Sensitivity]) -> dict[tuple[str, str], float]:
    return {(one.group, one.amount): TIMES[one.amount] * (1 + ord(one.group) % 3) for one in of}


def every(of: list[Sensitivity]) -> list[dict[str, Sensitivity]]:
    by_group = [[one for one in of if one.group == group] for group in GROUPS]
    return [{one.group: one for one in mix} for mix in itertools.product(*by_group)]


def size(mix: dict[str, Sensitivity]) -> int:
    return sum(one.bytes for one in mix.values())


def loss(mix: dict[str, Sensitivity]) -> np.ndarray:
    return np.sum([one.losses for one in mix.values()], axis=0)


def amounts(mix: dict[str, Sensitivity]) -> dict[str, str]:
    return {group: one.amount for group, one in mix.items()}


@pytest.mark.parametrize("seed", range(8))
def test_the_least_loss_in_a_size(seed: int) -> None:
    of = scanned(seed)
    mixes = every(of)
    budget = sorted(size(mix) for mix in mixes)[60]
    fitting = [mix for mix in mixes if size(mix) <= budget]
    found = allocate(of, Limits("worst", bytes=budget))
    assert found.bytes <= budget
    best = min(loss(mix).max() for mix in fitting)
    # The tie-break by the mean may cost that much of the worst loss, and no more.
    assert 1 - found.worst_cosine == pytest.approx(best, abs=2e-6)
    found = allocate(of, Limits("mean", bytes=budget))
    best = min(loss(mix).mean() for mix in fitting)
    assert 1 - found.mean_cosine == pytest.approx(best, abs=2e-6)


@pytest.mark.parametrize("seed", range(8))
def test_the_smallest_with_a_quality(seed: int) -> None:
    of = scanned(seed)
    floor = 1 - sorted(loss(mix).max() for mix in every(of))[100]
    found = allocate(of, Limits("bytes", worst_cosine=floor, worst_ratio=1.25))
    fitting = [size(mix) for mix in every(of) if 1 - 1.25 * loss(mix).max() >= floor]
    assert found.bytes == min(fitting)
    assert found.worst_cosine >= floor
    means = sorted(loss(mix).mean() for mix in every(of))
    found = allocate(of, Limits("bytes", mean_cosine=1 - means[100]))
    fitting = [size(mix) for mix in every(of) if loss(mix).mean() <= means[100]]
    assert found.bytes == min(fitting)


def test_a_limit_on_time() -> None:
    of = scanned(3)
    rules = Rules(milliseconds=times(of))

    def spent(mix: dict[str, Sensitivity]) -> float:
        return sum(rules.milliseconds[group, one.amount] for group, one in mix.items())

    limit = sorted(spent(mix) for mix in every(of))[30]
    found = allocate(of, Limits("mean", milliseconds=limit + 5, fixed_milliseconds=5.0), rules)
    assert found.milliseconds is not None
    assert found.milliseconds <= limit + 5
    best = min(loss(mix).mean() for mix in every(of) if spent(mix) <= limit + 1e-9)
    assert 1 - found.mean_cosine == pytest.approx(best, abs=2e-6)
    fastest = allocate(of, Limits("milliseconds"), rules)
    assert fastest.milliseconds == pytest.approx(min(spent(mix) for mix in every(of)))


def test_the_limit_is_held_to_the_byte() -> None:
    of = scanned(1)
    sizes = sorted({size(mix) for mix in every(of)})
    for budget in sizes[5:60:5]:
        assert allocate(of, Limits("bytes", bytes=budget)).bytes == sizes[0]
        assert allocate(of, Limits("mean", bytes=budget)).bytes <= budget
        assert allocate(of, Limits("mean", bytes=budget - 1)).bytes < budget
    exact = Limits("mean", bytes=sizes[0] + 77, fixed_bytes=77)
    assert allocate(of, exact).bytes == sizes[0] + 77


def test_further_solutions_come_in_order_and_end() -> None:
    of = [one for one in scanned(2) if one.group in "abc"]
    by_group = [[one for one in of if one.group == group] for group in "abc"]
    mixes = [dict(zip("abc", mix, strict=True)) for mix in itertools.product(*by_group)]
    found = list(solutions(of, Limits("mean")))
    assert len(found) == len(mixes) == 27
    assert len({tuple(one.amounts.items()) for one in found}) == 27
    means = [1 - one.mean_cosine for one in found]
    wanted = sorted(loss(mix).mean() for mix in mixes)
    assert means == pytest.approx(wanted, abs=2e-6)


def test_the_same_every_time() -> None:
    of = scanned(5)
    limits = Limits("worst", bytes=int(2 * allocate(of, Limits("bytes")).bytes))
    assert allocate(of, limits) == allocate(of, limits)


def test_rules_are_kept() -> None:
    of = scanned(4)
    free = allocate(of, Limits("bytes"))
    assert set(free.amounts.values()) == {"int4"}
    rules = Rules(
        given={"a": "fp32"}, allowed={"b": ("fp32", "int8")}, tied=(("b", "c", "d"), ("d", "e"))
    )
    found = allocate(of, Limits("bytes"), rules)
    assert found.amounts == {"a": "fp32", "b": "int8", "c": "int8", "d": "int8", "e": "int8"}


def test_tied_groups_without_a_common_amount_cannot_be_served() -> None:
    of = scanned(4)
    rules = Rules(allowed={"a": ("int8",), "b": ("int4",)}, tied=(("a", "b"),))
    with pytest.raises(CheckFailed):
        allocate(of, Limits("bytes"), rules)


def test_what_cannot_be_done_says_what_can() -> None:
    of = scanned(6)
    small = 2 * allocate(of, Limits("bytes")).bytes
    floor = allocate(of, Limits("worst", bytes=small)).worst_cosine + 1e-4
    with pytest.raises(CheckFailed) as caught:
        allocate(of, Limits("worst", bytes=small, worst_cosine=floor))
    failure = caught.value
    assert failure.exit_status == 1
    assert f"at most {small} bytes" in failure.message
    # Each of the two offers holds when it is taken, and less than it does not.
    nearest = failure.details["nearest"]
    assert allocate(of, Limits("worst", bytes=nearest["bytes"], worst_cosine=floor))
    with pytest.raises(CheckFailed):
        allocate(of, Limits("worst", bytes=nearest["bytes"] - 1, worst_cosine=floor))
    assert allocate(of, Limits("worst", bytes=small, worst_cosine=nearest["worst_cosine"] - 1e-6))
    assert f"--max-size {nearest['bytes']}" in failure.hint
    (offered,) = re.findall(r"--min-quality ([\d.]+)", failure.hint)
    assert allocate(of, Limits("worst", bytes=small, worst_cosine=float(offered)))


def test_two_limits_that_are_both_out_of_reach() -> None:
    of = scanned(6)
    with pytest.raises(CheckFailed) as caught:
        allocate(of, Limits("mean", bytes=100, mean_cosine=2.0))
    assert "ease two" in caught.value.hint


@pytest.mark.parametrize(
    ("limits", "rules", "named"),
    [
        (Limits("speed"), Rules(), "speed"),
        (Limits(milliseconds=3.0), Rules(), "time"),
        (Limits("milliseconds"), Rules(), "time"),
        (Limits(), Rules(given={"z": "int8"}), "'z'"),
        (Limits(), Rules(allowed={"a": ("int2",)}), "int2"),
        (Limits(), Rules(tied=(("a", "z"),)), "'z'"),
    ],
)
def test_contradictions_are_refused(limits: Limits, rules: Rules, named: str) -> None:
    with pytest.raises(SpecError) as caught:
        allocate(scanned(0), limits, rules)
    assert named in caught.value.message
    assert caught.value.hint


def test_nothing_to_choose_from() -> None:
    with pytest.raises(SpecError, match="nothing"):
        allocate([], Limits())
