"""What is measured of a decoder's next tokens, and what a floor makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import HopQuality, TokenFloor
from edgekit.floors import DECODER_FLOORS, FLOORS
from edgekit.verify.tokens import compare, judged

RNG = np.random.default_rng(0)
WANTED = RNG.normal(size=(6, 40)).astype(np.float32) * 3


def hop(passed: bool = True) -> HopQuality:
    return HopQuality(
        hop="onnx",
        artifact="model.onnx",
        samples=2,
        worst_cosine=1.0,
        mean_cosine=1.0,
        snr_db=None,
        agreement=1.0,
        agreement_kind="same next token",
        worst_sample="",
        passed=passed,
    )


def judge(found: Any, floor: TokenFloor | None, greedy: float | None = None) -> HopQuality:
    parts = [WANTED[:2], WANTED[2:]], [found[:2], found[2:]]
    return judged(hop(), *parts, [[3, -1], [5, 1, 0, -1]], floor, greedy)


def test_against_the_definitions() -> None:
    found = (WANTED + RNG.normal(size=WANTED.shape) * 0.3).astype(np.float32)
    followed = np.array([3, -1, 5, 1, 0, -1])
    got = compare(WANTED, found, followed)
    p, q = (np.exp(rows.astype(np.float64)) for rows in (WANTED, found))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    each = (p * np.log(p / q)).sum(axis=1)
    assert got.mean_divergence == pytest.approx(each.mean())
    assert got.worst_divergence == pytest.approx(each.max())
    known = followed >= 0
    surprise = [-np.log(rows[known, followed[known]]).mean() for rows in (q, p)]
    assert got.perplexity_ratio == pytest.approx(math.exp(surprise[0] - surprise[1]))
    assert got.max_difference == pytest.approx(np.abs(WANTED - found).max())


def test_a_shift_of_all_logits_is_no_divergence() -> None:
    found = judge(WANTED + 1.0, DECODER_FLOORS["int8"].tokens)
    assert found.tokens is not None
    assert found.tokens.divergence < 1e-9
    assert found.passed
    assert not judge(WANTED + 1.0, DECODER_FLOORS["fp32"].tokens).passed


@pytest.mark.parametrize(
    "floor",
    [
        TokenFloor(max_difference=0.01),
        TokenFloor(divergence=0.01),
        TokenFloor(agreement=0.9),
        TokenFloor(perplexity_ratio=0.5),
        TokenFloor(greedy=0.9),
    ],
)
def test_each_floor_can_be_missed(floor: TokenFloor) -> None:
    other = WANTED[:, ::-1]
    assert not judge(other, floor, greedy=0.5).passed
    assert judge(other, None, greedy=0.5).passed


def test_numbers_that_are_none_fail() -> None:
    broken = WANTED.copy()
    broken[0, 0] = np.nan
    for found in (broken, WANTED[:, :-1]):
        assert not judge(found, None).passed
        assert judge(found, None).tokens is None


def test_a_hop_that_failed_stays_failed() -> None:
    parts = [WANTED], [WANTED], [[-1] * 6]
    assert not judged(hop(passed=False), *parts, DECODER_FLOORS["fp32"].tokens).passed
    found = judged(hop(), *parts, DECODER_FLOORS["fp32"].tokens)
    assert found.passed
    assert found.tokens is not None
    assert found.tokens.perplexity_ratio is None


def test_every_scheme_of_a_decoder_has_floors() -> None:
    assert DECODER_FLOORS.keys() == FLOORS.keys() - {"int8-static"}
    assert all(floor.tokens is not None for floor in DECODER_FLOORS.values())
