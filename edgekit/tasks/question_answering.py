"""Question answering: the span of a context that answers a question (Rajpurkar et al. 2016).

A context longer than the model takes is read in overlapping windows. As in transformers, a span's
score is the product of the probabilities of its first and last token within its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.tasks import Context, Floats, Ids, Pair, Query, Run, probabilities

AGREEMENT = "same first and last token"
TAKES = {"context": True}
WINDOWS = True
# In tokens; longer spans are runaway pairs of a first and a last token.
LONGEST_ANSWER = 30
# Instead of a logit where no answer can begin or end: its probability is 0.
_NEVER = -1e4


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """Logits of every token, ``(tokens, 2)``: that the answer starts there, and that it ends."""
    return output.reshape(-1, output.shape[-1])


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of samples with the same most likely first and last token."""
    pairs = zip(reference, other, strict=True)
    same = [bool((a.argmax(axis=0) == b.argmax(axis=0)).all()) for a, b in pairs]
    return float(np.mean(same))


def pairs(query: Query, context: Context) -> list[Pair]:
    """The question with its context."""
    return [(query.text, query.context)]


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """The best spans with first and last character in the context, best first.

    ``no_answer`` is the score that the context does not hold the answer, the least of all windows;
    it says something for models that were trained on questions without one.
    """
    assert query.context is not None
    found: dict[tuple[int, int], float] = {}
    none = 1.0
    for run in runs:
        spans, nothing = _spans(run, context.top_k)
        none = min(none, nothing)
        for first, last, score in spans:
            place = _characters(run, first, last, query.context)
            found[place] = max(score, found.get(place, 0.0))
    best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: context.top_k]
    answers = [
        {"answer": query.context[start:end], "score": score, "start": start, "end": end}
        for (start, end), score in best
    ]
    return {"text": query.text, "answers": answers, "no_answer": none}


def _spans(run: Run, count: int) -> tuple[list[tuple[int, int, float]], float]:
    """Best pairs of first and last token with their scores, and the score of no answer."""
    logits = rows(run.output, run.ids, Context())
    inside = np.array([sequence == 1 for sequence in run.sequences])
    # The classifier's token: the first, or the last where special tokens come at the end.
    nothing = 0 if run.sequences[0] is None else len(inside) - 1
    allowed = inside.copy()
    allowed[nothing] = True
    start, end = probabilities(np.where(allowed[:, None], logits, _NEVER).T)
    scores = np.outer(np.where(inside, start, 0.0), np.where(inside, end, 0.0))
    scores = np.tril(np.triu(scores), LONGEST_ANSWER - 1)
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    firsts, lasts = np.unravel_index(order, scores.shape)
    spans = [
        (int(i), int(j), float(scores[i, j]))
        for i, j in zip(firsts, lasts, strict=True)
        if inside[i] and inside[j] and 0 <= j - i < LONGEST_ANSWER
    ]
    return spans, float(start[nothing] * end[nothing])


def _characters(run: Run, first: int, last: int, text: str) -> tuple[int, int]:
    """The span in characters, widened to whole words."""
    same = [place for place, sequence in enumerate(run.sequences) if sequence == 1]
    begins = [place for place in same if run.words[place] == run.words[first]]
    ends = [place for place in same if run.words[place] == run.words[last]]
    start, end = run.offsets[begins[0]][0], run.offsets[ends[-1]][1]
    while start < end and text[start].isspace():
        start += 1  # some tokenizers count the space before a word as part of it
    return start, end
