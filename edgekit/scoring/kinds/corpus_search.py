"""Queries, each with the ids of the texts of a corpus that answer it: how high those rank in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.columns import Row
from edgekit.errors import InputRefused, SpecError
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Metric, mean_of
from edgekit.tasks import Context, Query

TASKS = ("sentence-similarity",)
COLUMNS = {
    "query": "what is looked for",
    "relevant": "the id of a text of --corpus that answers it, or a list of them, or an object of "
    "ids with grades",
}
OPTIONAL = {
    "excluded": "the id of a text of --corpus that is passed over, the query itself for one, or "
    "a list of them",
}
PERTURBED = ("query",)
SEARCHES = True
_CUT = 10
_RECALLS = (1, 5, 10, 100)
_HINT = COLUMNS["relevant"]


def fields(context: Context) -> tuple[str, ...]:
    """Gain, one over the first right rank, and recall in the first of each number."""
    return ("nDCG", "reciprocal rank", *(f"recall@{cut}" for cut in _RECALLS))


def texts(row: Row) -> str:
    """The query."""
    return row.text("query")


def score(row: Row, asked: Asked) -> Scoring:
    """Where the right texts rank among all of the corpus, by cosine."""
    query, corpus = row.text("query"), asked.corpus
    if corpus is None:
        raise SpecError(
            f"{row.file} has queries and ids of texts, and no corpus that they are in is named",
            hint="Add --corpus FILE, with the columns id and text.",
        )
    grades = _grades(row)
    places = []
    for identity in grades:
        place = corpus.place(identity)
        if place is None:
            raise InputRefused(
                f"{row.file}, row {row.number} (line {row.line}): relevant names {identity[:60]!r} "
                f"and no text of {corpus.path.name} has that id",
                hint="Ids are compared letter by letter.",
            )
        places.append(place)
    excluded = {place for one in _excluded(row) if (place := corpus.place(one)) is not None}
    answer = yield from answered(asked, Query(query))
    vector = np.asarray(answer["embedding"], dtype=np.float32)
    ranks = corpus.ranks(vector, places, sorted(excluded - set(places)))
    recalls = [sum(rank <= cut for rank in ranks) / len(ranks) for cut in _RECALLS]
    first = min(ranks)
    numbers = (_gain(ranks, list(grades.values())), 1.0 / first, *recalls)
    return Mark(numbers, f"rank {first}", next(iter(grades)), first == 1)


def metrics(context: Context) -> tuple[Metric, ...]:
    """Discounted gain of the first ten, mean reciprocal rank, recalls."""
    recalls = [mean_of(f"recall@{cut}", 2 + at) for at, cut in enumerate(_RECALLS)]
    return (mean_of(f"nDCG@{_CUT}", 0), mean_of("MRR", 1), *recalls)


def _gain(ranks: list[int], grades: list[float]) -> float:
    """nDCG@10 of ranks in a whole corpus: what stands between the right texts has no gain."""
    from sklearn.metrics import ndcg_score

    truth = np.zeros(_CUT + len(ranks))
    for at, (rank, grade) in enumerate(zip(ranks, grades, strict=True)):
        truth[rank - 1 if rank <= _CUT else _CUT + at] = grade
    order = np.arange(len(truth), 0, -1.0)
    return float(ndcg_score(truth[None], order[None], k=_CUT))


def _grades(row: Row) -> dict[str, float]:
    """Id -> grade, above 0."""
    value: Any = row.values.get("relevant")
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise row.wrong("relevant", _HINT) from None
    if isinstance(value, Mapping):
        found = {str(name): grade for name, grade in value.items() if grade != 0}
    else:
        found = dict.fromkeys(map(_identity, value if isinstance(value, list) else [value]), 1.0)
    sound = all(name and _is_grade(grade) for name, grade in found.items())
    if not found or not sound:
        raise row.wrong("relevant", _HINT)
    return {name: float(grade) for name, grade in found.items()}


def _excluded(row: Row) -> list[str]:
    """Ids of texts that are passed over."""
    value = row.values.get("excluded")
    if value is None or value == "":
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        return list(row.texts("excluded"))
    found = [_identity(one) for one in (value if isinstance(value, list) else [value])]
    if not all(found):
        raise row.wrong("excluded", OPTIONAL["excluded"])
    return found


def _identity(value: object) -> str:
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip() if known else ""


def _is_grade(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
