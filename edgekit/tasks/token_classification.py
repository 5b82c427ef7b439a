"""Token classification: names, places and other spans of a text, with their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import SpecError
from edgekit.tasks import Context, Floats, Ids, Query, Run, probabilities

AGREEMENT = "same top-1 label of each token"
TAKES = {"aggregation": False}
AGGREGATIONS = ("first", "simple")
# The label of what is no entity.
OUTSIDE = "O"


@dataclass(frozen=True)
class _Piece:
    """A token, or a word: its label with prefix, score, and place in the text."""

    label: str
    score: float
    start: int
    end: int


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """Logits of every token, ``(tokens, labels)``."""
    return output.reshape(-1, output.shape[-1])


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of tokens with the same top label, as a mean over the texts."""
    pairs = zip(reference, other, strict=True)
    return float(np.mean([(a.argmax(axis=1) == b.argmax(axis=1)).mean() for a, b in pairs]))


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Entities in reading order: label, mean score, first and last character, and their text.

    Neighbours with one label are one entity, unless the label of the second begins with ``B-``.

    Raises:
        SpecError: an unknown aggregation.
    """
    if query.aggregation not in AGGREGATIONS:
        raise SpecError(
            f"unknown aggregation {query.aggregation!r}", hint=f"One of: {', '.join(AGGREGATIONS)}."
        )
    (run,) = runs
    scores = probabilities(rows(run.output, run.ids, context))
    groups = _words(run) if query.aggregation == "first" else _tokens(run)
    pieces = (_piece(run, group, scores, context.labels) for group in groups)
    entities = [_entity(group, query.text) for group in _joined(pieces)]
    return {"text": query.text, "entities": [e for e in entities if e["label"] != OUTSIDE]}


def _tokens(run: Run) -> list[list[int]]:
    """Every token by itself, special ones left out."""
    return [[place] for place, word in enumerate(run.words) if word is not None]


def _words(run: Run) -> list[list[int]]:
    """The tokens of each word."""
    groups: dict[int, list[int]] = {}
    for place, word in enumerate(run.words):
        if word is not None:
            groups.setdefault(word, []).append(place)
    return list(groups.values())


def _piece(
    run: Run, group: list[int], scores: NDArray[np.float64], labels: Sequence[str]
) -> _Piece:
    first = scores[group[0]]
    best = int(first.argmax())
    start, end = run.offsets[group[0]][0], run.offsets[group[-1]][1]
    return _Piece(labels[best], float(first[best]), start, end)


def _joined(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    groups: list[list[_Piece]] = []
    for piece in pieces:
        kind, name = _tag(piece.label)
        if groups and kind != "B" and name == _tag(groups[-1][-1].label)[1]:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _tag(label: str) -> tuple[str, str]:
    """``B-PER`` as ``B`` and ``PER``; a label without prefix goes on."""
    if label[:2] in ("B-", "I-"):
        return label[0], label[2:]
    return "I", label


def _entity(group: list[_Piece], text: str) -> dict[str, Any]:
    start, end = group[0].start, group[-1].end
    while start < end and text[start].isspace():
        start += 1  # some tokenizers count the space before a word as part of it
    return {
        "label": _tag(group[0].label)[1],
        "score": float(np.mean([piece.score for piece in group])),
        "start": start,
        "end": end,
        "word": text[start:end],
    }
