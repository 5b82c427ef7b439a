"""The loop around an encoder-decoder, over an eager model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from edgekit.bundle.manifest import Answers, Cache, Generation, Search
from edgekit.errors import InternalError, SpecError, TextRefused
from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation.beam import Beams
from edgekit.runtime.generation.constraints import Rules
from edgekit.runtime.generation.seq2seq import Seq2Seq, open_answering

PAD, EOS, VOCABULARY, SOURCE, CONTEXT = 0, 1, 32, 12, 16
RULES = Rules((PAD,), (EOS,))
TEXT = [5, 9, 7, 20, EOS]


class Eager:
    """An eager model; remembers what it read."""

    source, context, vocabulary = SOURCE, CONTEXT, VOCABULARY

    def __init__(self, model: Any) -> None:
        self._model = model
        self._text: list[int] = []
        self._ids: list[int] = []
        self.closed = False

    def read(self, ids: Sequence[int]) -> None:
        self._text, self._ids = list(ids), []

    def feed(self, ids: Sequence[int], position: int) -> Any:
        self._ids = [*self._ids[:position], *ids]
        given = torch.tensor([self._text]), torch.tensor([self._ids])
        with torch.no_grad():
            row = self._model(input_ids=given[0], decoder_input_ids=given[1]).logits
        return row[0, -1].numpy()

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def model() -> Any:
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=16,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: Any = T5ForConditionalGeneration(config)
    return made.eval().requires_grad_(False)


def theirs(model: Any, text: list[int], **settings: Any) -> list[int]:
    row = torch.tensor([text])
    made = model.generate(row, attention_mask=torch.ones_like(row), do_sample=False, **settings)
    found: list[int] = made[0, 1:].tolist()
    return found


def ids(found: Any) -> list[int]:
    return [token.id for token in found]


@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_an_answer_is_transformers_own(model: Any, penalty: float) -> None:
    answering = Seq2Seq(Eager(model), RULES)
    found = ids(answering.generate(TEXT, Sampling(max_tokens=10, repetition_penalty=penalty)))
    assert found == theirs(model, TEXT, max_new_tokens=10, repetition_penalty=penalty)
    done = answering.statistics
    assert done is not None
    assert (done.prompt_tokens, done.answer_tokens) == (len(TEXT), len(found))
    assert done.first_token_seconds > 0


def test_rules_hold_in_an_answer(model: Any) -> None:
    plain = ids(Seq2Seq(Eager(model), RULES).generate(TEXT, Sampling(max_tokens=6)))
    rules = Rules((PAD,), (EOS,), first=9, last=EOS, suppressed=(plain[1], plain[2]))
    found = ids(Seq2Seq(Eager(model), rules).generate(TEXT, Sampling(max_tokens=6)))
    assert found[0] == 9
    assert found[-1] == EOS
    assert not {plain[1], plain[2]} & set(found)
    # Sampled, at any temperature.
    hot = Sampling(max_tokens=6, temperature=50.0, seed=3)
    assert not {plain[1], plain[2]} & set(ids(Seq2Seq(Eager(model), rules).generate(TEXT, hot)))


def test_the_makers_search_is_what_a_greedy_answer_takes(model: Any) -> None:
    usual = Beams(3, length_penalty=2.0)
    answering = Seq2Seq(Eager(model), RULES, usual=usual)
    found = ids(answering.generate(TEXT, Sampling(max_tokens=8)))
    wanted = theirs(model, TEXT, max_new_tokens=8, num_beams=3, length_penalty=2.0)
    assert found == wanted[: len(found)]
    assert answering.statistics is not None
    assert answering.statistics.ended_by in ("eos", "length")
    best = answering.beams(TEXT, Beams(3, 8, 2.0))
    assert list(best[0].ids) == found
    assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)


def test_another_text_ends_the_answer(model: Any) -> None:
    answering = Seq2Seq(Eager(model), Rules((PAD,)))
    first = answering.generate(TEXT, Sampling(max_tokens=8))
    begun = next(first)
    second = answering.generate(TEXT[::-1], Sampling(max_tokens=8))
    assert begun.id >= 0
    assert len(ids(first)) <= 1
    assert ids(second) == theirs(model, TEXT[::-1], max_new_tokens=8, eos_token_id=-1)


def test_an_answer_ends_with_the_context(model: Any) -> None:
    answering = Seq2Seq(Eager(model), Rules((PAD,)))
    assert len(ids(answering.generate(TEXT, Sampling(max_tokens=99)))) == CONTEXT - 1
    assert answering.statistics is not None
    assert answering.statistics.ended_by == "context"


@pytest.mark.parametrize(
    ("text", "said"),
    [([], "no tokens"), ([5] * (SOURCE + 1), "reads 12 at most"), ([VOCABULARY], "knows 0 to 31")],
)
def test_a_text_that_the_model_cannot_read_is_refused(
    model: Any, text: list[int], said: str
) -> None:
    answering = Seq2Seq(Eager(model), RULES)
    for ask in (answering.generate, answering.beams):
        with pytest.raises(TextRefused, match=said):
            ask(text)


def test_rules_of_another_model_are_refused(model: Any) -> None:
    with pytest.raises(SpecError, match="token 40"):
        Seq2Seq(Eager(model), Rules((PAD,), (40,)))
    with pytest.raises(SpecError, match="no tokenizer"):
        Seq2Seq(Eager(model), RULES).text([5])


def test_a_manifest_says_how_to_answer(model: Any) -> None:
    answers = Answers(source=SOURCE, start=(PAD,), first=9, search=Search(beams=2))
    cache = Cache(layers=1, bytes_per_token=1, bytes=1)
    said = Generation(context=CONTEXT, eos_token_ids=(EOS,), cache=cache, answers=answers)
    steps: Any = Eager(model)
    found = ids(open_answering(steps, said, None).generate(TEXT, Sampling(max_tokens=5)))
    wanted = theirs(model, TEXT, max_new_tokens=5, num_beams=2, forced_bos_token_id=9)
    assert found == wanted[: len(found)]
    other = said.model_copy(update={"answers": answers.model_copy(update={"source": 13})})
    with pytest.raises(InternalError, match="another length"):
        open_answering(steps, other, None)


def test_beams_can_be_asked_for(model: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    texts = (torch.randint(2, VOCABULARY, (6,), generator=draw).tolist() for _ in range(12))

    def by(given: list[int], beams: int) -> list[int]:
        return theirs(model, given, num_beams=beams, max_new_tokens=8)

    text = next(one for one in texts if by(one, 1) != by(one, 3))
    plain = Seq2Seq(Eager(model), RULES)
    usual = Seq2Seq(Eager(model), RULES, usual=Beams(count=3))
    assert ids(plain.generate(text, Sampling(max_tokens=8, beams=3))) == by(text, 3)
    assert ids(plain.generate(text, Sampling(max_tokens=8))) == by(text, 1)
    assert ids(usual.generate(text, Sampling(max_tokens=8))) == by(text, 3)
    assert ids(usual.generate(text, Sampling(max_tokens=8, beams=1))) == by(text, 1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"beams": 0}, "beams is 0"),
        ({"beams": 33}, "beams is 33"),
        ({"beams": 2, "temperature": 0.5}, "a temperature varies it"),
    ],
)
def test_beams_that_make_no_sense_are_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        Sampling(**asked)
    assert caught.value.hint


def test_a_decoder_has_no_beams(model: Any) -> None:
    with pytest.raises(SpecError, match="read a text and answer it"):
        Generator(Eager(model)).generate(TEXT, Sampling(beams=2))
