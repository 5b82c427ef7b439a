"""The rungs of a decoder's ladder: both graph forms in eager mode, and greedy texts up to a tie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.floors import DECODER_FLOORS
from edgekit.runtime.generation.replay import Passage, Reading, read
from edgekit_converters.generation.ladder import GraphSteps, TokenLadder, first_rungs
from edgekit_converters.generation.parity import reference_logits
from edgekit_converters.generation.texts import GREEDY_TOKENS, Sample
from tests.converters.generation.decoders import CONTEXT, captured, texts, tiny


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama")


@pytest.fixture(scope="module")
def ladder(model: Any) -> TokenLadder:
    samples = [Sample(str(ids[:3]), Passage(tuple(ids), 6)) for ids in texts(4, 12)]
    return first_rungs(model, samples, CONTEXT)


def test_the_first_rungs_are_the_eager_models(model: Any, ladder: TokenLadder) -> None:
    for sample, rows in zip(ladder.samples, ladder.reference, strict=True):
        wanted = reference_logits(model, sample.passage.ids)[5:]
        assert rows.shape == (7, wanted.shape[1])
        assert np.abs(rows - wanted).max() < 1e-5
    assert [len(answer) for answer in ladder.answers] == [GREEDY_TOKENS] * len(ladder.prompts)


@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
def test_both_forms_climb_in_eager_mode(model: Any, ladder: TokenLadder, runtime: str) -> None:
    edge = captured(model, runtime)
    ladder.hops.clear()
    ladder.graph("captured", edge.module(), edge.signature, DECODER_FLOORS["fp32"])
    (hop,) = ladder.hops
    assert hop.passed
    assert hop.tokens is not None
    assert hop.tokens.count == 4 * 6
    other = TokenLadder(
        model, ladder.samples, [rows + rows[:, ::-1] for rows in ladder.reference], [], []
    )
    other.graph("captured", edge.module(), edge.signature, DECODER_FLOORS["fp32"])
    assert not other.hops[0].passed
    # A text that is read again from its beginning finds an empty cache.
    steps = GraphSteps(edge.module(), edge.signature)
    first = read(steps, ladder.samples[0].passage).rows
    assert np.array_equal(read(steps, ladder.samples[0].passage).rows, first)


def readings(answers: list[list[int]]) -> list[Reading]:
    return [Reading(np.zeros((1, 1), np.float32), tuple(answer)) for answer in answers]


def test_greedy_counts_up_to_the_first_other_token(ladder: TokenLadder) -> None:
    assert ladder._same_greedy(readings(ladder.answers)) == 1.0
    changed = [list(answer) for answer in ladder.answers]
    changed[0][16] = (changed[0][16] + 1) % 128
    lost = (GREEDY_TOKENS - 16) / (GREEDY_TOKENS * len(changed))
    assert ladder._same_greedy(readings(changed)) == pytest.approx(1 - lost)


def test_a_tie_is_no_difference(model: Any, ladder: TokenLadder) -> None:
    """The head's row of the token that was chosen, given to another one as well."""
    changed = [list(answer) for answer in ladder.answers]
    chosen = changed[0][16]
    other = (chosen + 1) % 128
    changed[0][16] = other
    head = model.get_output_embeddings().weight
    kept = head[other].clone()
    try:
        head[other] = head[chosen]
        assert ladder._tie([*ladder.prompts[0].ids, *ladder.answers[0][:16]], other)
        assert ladder._same_greedy(readings(changed)) == 1.0
    finally:
        head[other] = kept
