"""Spans of a text: entities, and the answers to a question."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edgekit.errors import SpecError
from edgekit.tasks import Context, Floats, Query, Run, question_answering, token_classification
from tests.support.refusals import refused

TEXT = "Ada Lovelace met Babbage in London"
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
# Tokens: [CLS] Ada Love ##lace met Ba ##bb ##age in London [SEP]
OFFSETS = ((0, 0), (0, 3), (4, 8), (8, 12), (13, 16), (17, 19), (19, 21), (21, 24))
OFFSETS += ((25, 27), (28, 34), (0, 0))
WORDS = (None, 0, 1, 1, 2, 3, 3, 3, 4, 5, None)


def tagged(*labels: str) -> Run:
    """A run in which each token gets its label with probability 5/10, the others 1/10 each."""
    output = np.zeros((1, len(labels), len(LABELS)), np.float32)
    for place, label in enumerate(labels):
        output[0, place, LABELS.index(label)] = np.log(5.0)
    ids = np.arange(len(labels))[None]
    return Run(output, ids, OFFSETS, WORDS, (None, *(0,) * 9, None))


def entities(run: Run, aggregation: str = "first") -> list[tuple[Any, ...]]:
    query = Query(TEXT, aggregation=aggregation)
    answer = token_classification.answer([run], query, Context(labels=LABELS))
    assert answer["text"] == TEXT
    for entity in answer["entities"]:
        assert TEXT[entity["start"] : entity["end"]] == entity["word"]
        assert entity["score"] == pytest.approx(0.5)
    return [(entity["label"], entity["word"]) for entity in answer["entities"]]


def test_a_word_has_the_label_of_its_first_token() -> None:
    run = tagged("O", "B-PER", "I-PER", "O", "O", "B-PER", "B-LOC", "O", "O", "B-LOC", "B-PER")
    assert entities(run) == [("PER", "Ada Lovelace"), ("PER", "Babbage"), ("LOC", "London")]
    simple = [("PER", "Ada Love"), ("PER", "Ba"), ("LOC", "bb"), ("LOC", "London")]
    assert entities(run, "simple") == simple


def test_neighbours() -> None:
    same = tagged("O", "B-PER", "B-PER", "O", "O", "MISC", "O", "O", "MISC", "I-LOC", "O")
    people = [("PER", "Ada"), ("PER", "Lovelace")]
    assert entities(same) == [*people, ("MISC", "Babbage in"), ("LOC", "London")]
    assert entities(tagged(*["O"] * 11)) == []


def test_a_space_that_belongs_to_a_token_is_left_out() -> None:
    run = tagged(*["O"] * 9, "B-LOC", "O")
    spaced = Run(run.output, run.ids, (*OFFSETS[:9], (27, 34), (0, 0)), WORDS, run.sequences)
    assert entities(spaced) == [("LOC", "London")]


def test_an_unknown_aggregation() -> None:
    run, query = tagged(*["O"] * 11), Query(TEXT, aggregation="max")
    context = Context(labels=LABELS)
    answer = token_classification.answer
    refused(SpecError, 64, "'max'", lambda: answer([run], query, context))


def test_token_agreement_is_by_token() -> None:
    a = tagged("O", "O", "O", "MISC").output[0]
    b = tagged("O", "O", "O", "O").output[0]
    assert token_classification.agreement([a, a], [b, a * 2]) == pytest.approx(7 / 8)


# Question answering: [CLS] who met [SEP] and the tokens of TEXT, [SEP]

SEQUENCES = (None, 0, 0, None, *(1,) * 9, None)
PLACES = ((0, 0), (0, 3), (4, 7), (0, 0), *OFFSETS[1:10], (0, 0))
IN_WORDS = (None, 0, 1, None, *WORDS[1:10], None)


def asked(start: Floats, end: Floats) -> Run:
    output = np.stack([start, end], axis=-1)[None].astype(np.float32)
    return Run(output, np.zeros((1, 14), np.int64), PLACES, IN_WORDS, SEQUENCES)


def scores(seed: int) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(2, 14)).astype(np.float32) * 2


def by_hand(start: Floats, end: Floats) -> dict[tuple[int, int], float]:
    """Every pair of tokens of the context, with its probability within the window."""
    allowed = [0, *range(4, 13)]
    first = {i: np.exp(float(start[i])) for i in allowed}
    last = {i: np.exp(float(end[i])) for i in allowed}
    total = sum(first.values()) * sum(last.values())
    pairs = itertools.combinations_with_replacement(range(4, 13), 2)
    found: dict[tuple[int, int], float] = {}
    for i, j in pairs:
        same_first = [k for k in range(4, 13) if IN_WORDS[k] == IN_WORDS[i]]
        same_last = [k for k in range(4, 13) if IN_WORDS[k] == IN_WORDS[j]]
        place = PLACES[same_first[0]][0], PLACES[same_last[-1]][1]
        found[place] = max(found.get(place, 0.0), first[i] * last[j] / total)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_best_spans_are_the_best_of_all_pairs(seed: int) -> None:
    start, end = scores(seed)
    query, context = Query("who met", context=TEXT), Context(top_k=100)
    answer = question_answering.answer([asked(start, end)], query, context)
    want = sorted(by_hand(start, end).items(), key=lambda item: -item[1])
    assert [(a["start"], a["end"]) for a in answer["answers"]] == [place for place, _ in want]
    found = [a["score"] for a in answer["answers"]]
    np.testing.assert_allclose(found, [score for _, score in want], rtol=1e-5)
    for one in answer["answers"]:
        assert TEXT[one["start"] : one["end"]] == one["answer"]
        assert not one["answer"].startswith(" ")


def test_no_answer_and_the_best_window() -> None:
    low, high = np.full(14, -5.0, np.float32), np.full(14, -5.0, np.float32)
    low[0] = 5.0  # the first window says that it holds none
    high[12] = 5.0
    query, context = Query("who met", context=TEXT), Context(top_k=1)
    runs = [asked(low, low), asked(high, high)]
    answer = question_answering.answer(runs, query, context)
    assert [one["answer"] for one in answer["answers"]] == ["London"]
    assert answer["no_answer"] < 1e-6
    alone = question_answering.answer(runs[:1], query, context)
    assert alone["no_answer"] > 0.99


def test_long_answers_are_none() -> None:
    longest = question_answering.LONGEST_ANSWER
    count = longest + 10
    start, end = np.zeros(count + 1, np.float32), np.zeros(count + 1, np.float32)
    start[1], end[count] = 9.0, 9.0
    offsets = ((0, 0), *((2 * i, 2 * i + 1) for i in range(count)))
    run = Run(
        np.stack([start, end], axis=-1)[None],
        np.zeros((1, count + 1), np.int64),
        offsets,
        (None, *range(count)),
        (None, *(1,) * count),
    )
    query = Query("q", context="x " * count)
    answer = question_answering.answer([run], query, Context(top_k=1000))
    lengths = [(a["end"] - a["start"] + 1) // 2 for a in answer["answers"]]
    assert max(lengths) == longest


def test_span_agreement_needs_both_ends() -> None:
    a = np.array([[0, 1], [5, 0], [1, 7]], np.float32)
    b = np.array([[0, 9], [5, 0], [1, 7]], np.float32)
    assert question_answering.agreement([a, a], [a * 2, b]) == 0.5
