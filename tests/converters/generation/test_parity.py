"""The measures themselves: right where the answer is known, and able to fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import SpecError
from edgekit.runtime.generation import Generator
from edgekit_converters.generation.parity import (
    compare,
    greedy,
    reference_logits,
    same_greedy,
    teacher_forced,
)
from tests.converters.generation.decoders import VOCABULARY, texts, tiny


class Eager:
    """The eager model as a decoder that reads everything again; its logits may be bent."""

    context, vocabulary = 64, VOCABULARY

    def __init__(self, model: Any, bend: Any = lambda row, at: row) -> None:
        self._model, self._bend = model, bend
        self._ids: list[int] = []

    def feed(self, ids: Any, position: int) -> Any:
        self._ids = [*self._ids[:position], *ids]
        row = reference_logits(self._model, self._ids)[-1]
        return self._bend(row, len(self._ids)).astype(np.float32)

    def close(self) -> None:
        self._ids = []


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama")


def test_the_model_is_its_own_equal(model: Any) -> None:
    found = teacher_forced(model, Eager(model), texts(2, 20))
    assert found.tokens == 2 * 13
    assert found.max_difference < 1e-5
    assert found.mean_divergence < 1e-9
    assert found.top1_agreement == 1.0
    assert found.perplexity_ratio == pytest.approx(1.0)


def test_one_wrong_step_shows(model: Any) -> None:
    def once(row: Any, at: int) -> Any:
        return np.roll(row, 1) if at == 15 else row

    found = teacher_forced(model, Eager(model, once), texts(1, 20))
    assert found.max_difference > 0.1
    assert found.top1_agreement == pytest.approx(12 / 13)
    assert found.worst_divergence > 12 * found.mean_divergence
    prompt = texts(1, 10)[0]
    assert same_greedy(model, Generator(Eager(model, once)), prompt, 12) == 5
    assert same_greedy(model, Generator(Eager(model)), prompt, 12) == 12


def test_numbers_that_can_be_worked_out() -> None:
    even, sure = np.zeros((1, 4)), np.log(np.array([[0.7, 0.1, 0.1, 0.1]]))
    found = compare(even, sure, np.array([0]))
    wanted = float(np.mean(np.log(0.25 / np.array([0.7, 0.1, 0.1, 0.1]))))
    assert found.mean_divergence == pytest.approx(wanted)
    assert found.reference_perplexity == pytest.approx(4.0)
    assert found.perplexity == pytest.approx(1 / 0.7)
    assert found.perplexity_ratio == pytest.approx(1 / 2.8)


def test_eager_greedy_is_transformers_own(model: Any) -> None:
    prompt = texts(1, 10)[0]
    ids = torch.tensor([prompt])
    made = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=16,
        do_sample=False,
        eos_token_id=-1,
    )
    assert greedy(model, prompt, 16) == made[0, 10:].tolist()


@pytest.mark.parametrize("length", [8, 65])
def test_a_text_that_does_not_fit_is_refused(model: Any, length: int) -> None:
    with pytest.raises(SpecError, match=f"{length} tokens"):
        teacher_forced(model, Eager(model), [[5] * length])
