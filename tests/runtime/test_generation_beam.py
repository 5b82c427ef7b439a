"""Beam search against transformers' own, over a decoder whose next tokens are a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from edgekit.errors import InternalError, SpecError
from edgekit.runtime.generation.beam import Beams, search
from edgekit.runtime.generation.constraints import Rules

PAD, EOS, START, VOCABULARY, CONTEXT = 0, 1, 2, 32, 24
TEXT = torch.tensor([[5, 9, 7, 20, 11]])


class Eager:
    """An eager model's decoder; counts the tokens that it reads."""

    context, vocabulary = CONTEXT, VOCABULARY

    def __init__(self, model: Any) -> None:
        self._model = model
        self._read = model.get_encoder()(input_ids=TEXT)
        self._ids: list[int] = []
        self.fed = 0

    def feed(self, ids: Sequence[int], position: int) -> Any:
        self._ids = [*self._ids[:position], *ids]
        self.fed += len(ids)
        with torch.no_grad():
            row = self._model(
                encoder_outputs=self._read, decoder_input_ids=torch.tensor([self._ids])
            ).logits
        return row[0, -1].numpy()

    def close(self) -> None:
        self._ids = []


@pytest.fixture(scope="module")
def model() -> Any:
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        # Answers end, now and then.
        init_std=0.3,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=START,
        bos_token_id=3,
        forced_eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = BartForConditionalGeneration(config).eval().requires_grad_(False)
        made.final_logits_bias[:, EOS] = 2.0
    return made


def wanted(model: Any, beams: Beams, **rules: Any) -> tuple[list[list[int]], list[float]]:
    """What transformers finds: every answer, and its score."""
    made = model.generate(
        TEXT,
        attention_mask=torch.ones_like(TEXT),
        num_beams=beams.count,
        num_return_sequences=beams.count,
        max_new_tokens=beams.max_tokens,
        length_penalty=beams.length_penalty,
        early_stopping=beams.early_stopping,
        repetition_penalty=beams.repetition_penalty,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
        **rules,
    )
    rows = [row.tolist() for row in made.sequences[:, 1:]]
    ends = [row.index(EOS) + 1 if EOS in row else len(row) for row in rows]
    return [row[:end] for row, end in zip(rows, ends, strict=True)], made.sequences_scores.tolist()


@pytest.mark.parametrize(
    ("count", "penalty", "stopping"),
    [
        (4, 1.0, False),
        (4, 1.0, True),
        (3, 2.0, False),
        (3, 2.0, "never"),
        (2, 0.0, "never"),
        (4, -1.0, False),
    ],
)
def test_the_answers_are_transformers_own(
    model: Any, count: int, penalty: float, stopping: Any
) -> None:
    beams = Beams(count, 10, penalty, stopping)
    ids, scores = wanted(model, beams)
    found = search(Eager(model), Rules((START,), (EOS,)), beams)
    assert [list(one.ids) for one in found] == ids
    assert np.allclose([one.score for one in found], scores, atol=1e-4)
    if penalty <= 0:
        assert any(len(one.ids) < beams.max_tokens for one in found)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"first": 9}, {"forced_bos_token_id": 9}),
        ({"last": EOS}, {"forced_eos_token_id": EOS}),
        ({"no_repeat": 2}, {"no_repeat_ngram_size": 2}),
        ({"least": 6}, {"min_length": 6}),
        ({"suppressed": (4, 17)}, {"suppress_tokens": [4, 17]}),
        ({"banned": ((6,), (8, 8))}, {"bad_words_ids": [[6], [8, 8]]}),
    ],
)
def test_rules_hold_in_every_beam(model: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    beams = Beams(3, 8, 1.0, False, 1.3)
    ids, scores = wanted(model, beams, **theirs)
    found = search(Eager(model), Rules((START,), (EOS,), **ours), beams)
    assert [list(one.ids) for one in found] == ids
    assert np.allclose([one.score for one in found], scores, atol=1e-4)


def test_what_beams_share_is_read_once(model: Any) -> None:
    steps = Eager(model)
    found = search(steps, Rules((START,), ()), Beams(4, 12))
    assert all(len(one.ids) == 12 for one in found)
    whole = 1 + 4 * sum(range(2, 13))
    # Four answers of a model that knows nothing have little in common.
    assert steps.fed < 0.6 * whole


def test_an_answer_ends_with_the_context(model: Any) -> None:
    (best, *_) = search(Eager(model), Rules((START,), ()), Beams(2, 500))
    assert len(best.ids) == CONTEXT - 1


def test_logits_that_are_no_numbers_are_our_fault(model: Any) -> None:
    class Broken(Eager):
        def feed(self, ids: Sequence[int], position: int) -> Any:
            return super().feed(ids, position) * np.nan

    with pytest.raises(InternalError, match="finite"):
        search(Broken(model), Rules((START,)), Beams(2, 4))


@pytest.mark.parametrize(
    "settings",
    [
        {"count": 0},
        {"max_tokens": 0},
        {"length_penalty": float("nan")},
        {"early_stopping": "sometimes"},
        {"repetition_penalty": 0.0},
    ],
)
def test_a_search_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(SpecError, match=name):
        Beams(**settings)
