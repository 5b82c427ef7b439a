"""The loop around a real decoder, in both runtimes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from edgekit.errors import InternalError, TextRefused
from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation import executorch as run_executorch
from edgekit.runtime.generation import onnx as run_onnx
from edgekit.runtime.generation.loop import Steps
from edgekit_converters.generation.parity import greedy
from tests.converters.generation.decoders import (
    CONTEXT,
    VOCABULARY,
    captured,
    lowered,
    opened,
    texts,
    tiny,
)

PROMPT = texts(1, 10)[0]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama")


@pytest.fixture(scope="module", params=["executorch", "onnx"])
def steps(
    model: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Steps]:
    edge = captured(model, request.param)
    made = opened(lowered(edge, request.param), edge, tmp_path_factory.mktemp("decoder"))
    yield made
    made.close()


class Counted:
    """Real steps, with a note of what was read."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.context, self.vocabulary = steps.context, steps.vocabulary
        self.read: list[tuple[int, int]] = []

    def feed(self, ids: Any, position: int) -> Any:
        self.read.append((position, len(ids)))
        return self._steps.feed(ids, position)

    def close(self) -> None:
        self._steps.close()


def answer(generator: Generator, prompt: list[int], **sampling: Any) -> list[int]:
    return [token.id for token in generator.generate(prompt, Sampling(**sampling))]


def test_greedy_is_the_eager_models(model: Any, steps: Steps) -> None:
    generator = Generator(steps)
    assert answer(generator, PROMPT, max_tokens=20) == greedy(model, PROMPT, 20)
    told = generator.statistics
    assert told is not None
    assert (told.prompt_tokens, told.answer_tokens, told.ended_by) == (10, 20, "length")
    assert 0 < told.first_token_seconds < 60
    assert told.tokens_per_second > 1


def test_it_goes_on_to_the_end_of_the_context(model: Any, steps: Steps) -> None:
    generator = Generator(steps)
    found = answer(generator, PROMPT, max_tokens=10_000)
    assert len(found) == CONTEXT - len(PROMPT)
    assert found == greedy(model, PROMPT, len(found))
    assert generator.statistics is not None
    assert generator.statistics.ended_by == "context"


def test_an_end_token_ends_it(steps: Steps) -> None:
    whole = answer(Generator(steps), PROMPT, max_tokens=30)
    end = whole[7]
    generator = Generator(steps, eos=[end])
    found = answer(generator, PROMPT, max_tokens=30)
    assert found == whole[: whole.index(end) + 1]
    assert generator.statistics is not None
    assert generator.statistics.ended_by == "eos"


def test_what_prompts_share_is_read_once(model: Any, steps: Steps) -> None:
    counted = Counted(steps)
    generator = Generator(counted)
    first = answer(generator, PROMPT, max_tokens=5)
    longer = [*PROMPT, *first, 9, 11]
    counted.read.clear()
    assert answer(generator, longer, max_tokens=5) == greedy(model, longer, 5)
    # Of the first answer the last token was never read.
    assert counted.read[0] == (len(PROMPT) + 4, 3)
    other = [*PROMPT[:4], 99, 5]
    counted.read.clear()
    assert answer(generator, other, max_tokens=5) == greedy(model, other, 5)
    assert counted.read[0] == (4, 2)
    counted.read.clear()
    assert answer(generator, other, max_tokens=1) == greedy(model, other, 1)
    assert counted.read == [(len(other) - 1, 1)]


def test_it_can_be_stopped(model: Any, steps: Steps) -> None:
    generator, cancel = Generator(steps), Event()
    found = []
    for token in generator.generate(PROMPT, Sampling(max_tokens=50), cancel):
        found.append(token.id)
        if len(found) == 3:
            cancel.set()
    assert 3 <= len(found) <= 4
    assert generator.statistics is not None
    assert generator.statistics.ended_by == "cancelled"
    tokens = generator.generate(PROMPT)
    next(tokens)
    tokens.close()  # type: ignore[attr-defined]
    assert generator.statistics.ended_by == "cancelled"
    # It answers the next one as ever.
    assert answer(generator, PROMPT, max_tokens=5) == greedy(model, PROMPT, 5)


def test_one_answer_at_a_time(model: Any, steps: Steps) -> None:
    generator = Generator(steps)
    first = generator.generate(PROMPT)
    begun = [next(first).id, next(first).id]
    other = texts(1, 12, seed=9)[0]
    assert answer(generator, other, max_tokens=6) == greedy(model, other, 6)
    # The cache is the other's: the first ends instead of going on from a text that is not its own.
    assert [token.id for token in first] == []
    assert begun == greedy(model, PROMPT, 2)
    assert answer(generator, PROMPT, max_tokens=6) == greedy(model, PROMPT, 6)


def test_a_seed_gives_one_answer(steps: Steps) -> None:
    generator = Generator(steps)
    hot = {"temperature": 5.0, "max_tokens": 20}
    assert answer(generator, PROMPT, seed=1, **hot) == answer(generator, PROMPT, seed=1, **hot)
    assert answer(generator, PROMPT, seed=1, **hot) != answer(generator, PROMPT, seed=2, **hot)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([], "no tokens"),
        ([5] * CONTEXT, f"{CONTEXT} tokens"),
        ([5, VOCABULARY], f"0 to {VOCABULARY - 1}"),
        ([5, -1], "-1"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused(
    steps: Steps, ids: list[int], said: str
) -> None:
    with pytest.raises(TextRefused, match=said) as caught:
        Generator(steps).generate(ids)
    assert caught.value.hint


def test_a_damaged_file_is_refused(tmp_path: Path, model: Any) -> None:
    signature = captured(model, "onnx", 16).signature
    for module, name in ((run_onnx, "model.onnx"), (run_executorch, "model.pte")):
        path = tmp_path / name
        path.write_text(json.dumps({"not": "a model"}))
        with pytest.raises(InternalError, match=name):
            module.open_steps(path, signature)
