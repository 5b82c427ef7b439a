"""Sampling: the same numbers as transformers' own processors, and the same answer twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from edgekit.errors import SpecError
from edgekit.runtime.generation import Sampling
from edgekit.runtime.generation.sampling import Sampler, likeliest, nucleus, penalised, softmax

BEFORE = [3, 17, 17, 250, 4]


def logits(seed: int, size: int = 300) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)


def theirs(scores: np.ndarray[Any, Any], *processors: Any) -> np.ndarray[Any, Any]:
    ids = torch.tensor([BEFORE])
    found: np.ndarray[Any, Any] = LogitsProcessorList(processors)(ids, torch.tensor(scores)[None])[
        0
    ].numpy()
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("penalty", [1.3, 0.8])
def test_repetition_penalty(seed: int, penalty: float) -> None:
    wanted = theirs(logits(seed), RepetitionPenaltyLogitsProcessor(penalty))
    np.testing.assert_allclose(penalised(logits(seed), BEFORE, penalty), wanted, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 5, 299, 300, 1000])
def test_top_k(seed: int, count: int) -> None:
    scores = logits(seed)
    scores[7] = scores[9] = scores.max()  # equals stay together
    np.testing.assert_array_equal(likeliest(scores, count), theirs(scores, TopKLogitsWarper(count)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_top_p(seed: int, share: float) -> None:
    wanted = theirs(logits(seed), TopPLogitsWarper(share))
    np.testing.assert_array_equal(nucleus(logits(seed), share), wanted)


@pytest.mark.parametrize("seed", range(3))
def test_all_together_give_the_same_chances(seed: int) -> None:
    sampling = Sampling(temperature=0.7, top_k=40, top_p=0.9, repetition_penalty=1.2)
    wanted = theirs(
        logits(seed),
        RepetitionPenaltyLogitsProcessor(1.2),
        TemperatureLogitsWarper(0.7),
        TopKLogitsWarper(40),
        TopPLogitsWarper(0.9),
    )
    chances = torch.softmax(torch.tensor(wanted).double(), dim=0).numpy()
    drawn = np.zeros(300)
    for number in range(400):
        sampler = Sampler(Sampling(**{**vars(sampling), "seed": number}))
        drawn[sampler.choose(logits(seed), BEFORE)] += 1
    assert not drawn[chances == 0].any()
    # Half the sum of differences: 400 draws of a dozen tokens stay well below this.
    assert abs(drawn / 400 - chances).sum() / 2 < 0.15


def test_a_seed_gives_one_answer() -> None:
    def answer(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.5, seed=seed))
        return [sampler.choose(logits(step), []) for step in range(20)]

    assert answer(3) == answer(3)
    assert answer(3) != answer(4)


def test_greedy_takes_the_likeliest() -> None:
    scores = logits(1)
    assert Sampler(Sampling()).choose(scores, []) == scores.argmax()
    best = int(scores.argmax())
    assert Sampler(Sampling(repetition_penalty=1e6)).choose(scores, [best]) != best


def test_logits_are_left_alone_and_may_be_extreme() -> None:
    scores = np.array([-1e30, 1e30, -np.inf, 0.0], dtype=np.float32)
    kept = scores.copy()
    sampler = Sampler(Sampling(temperature=0.5, top_k=2, top_p=0.5, repetition_penalty=2.0))
    assert sampler.choose(scores, [0, 1]) == 1
    np.testing.assert_array_equal(scores, kept)
    assert softmax(scores).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("repetition_penalty", 0.0),
        ("seed", -1),
        ("stop", ("",)),
    ],
)
def test_what_no_sampler_can_do_is_refused(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=name) as caught:
        Sampling(**{name: value})
    assert "Allowed" in caught.value.hint
