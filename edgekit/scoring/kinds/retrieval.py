"""Queries, each with texts that answer it and texts that do not: how high the right ones rank."""

from __future__ import annotations

import numpy as np

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.kinds.similarity import cosine
from edgekit.scoring.metrics import Metric, mean_of
from edgekit.tasks import Context, Query

TASKS = ("sentence-similarity",)
COLUMNS = {
    "anchor": "what is looked for",
    "positive": "a text that answers it, or a list of them",
    "negative": "a text that does not, or a list of them",
}
OPTIONAL: dict[str, str] = {}
PERTURBED = ("anchor",)
_CUT = 10


def fields(context: Context) -> tuple[str, ...]:
    """One over the first right rank, gain, and recall in the first 1, 5 and 10."""
    return ("reciprocal rank", "nDCG", "recall@1", "recall@5", "recall@10")


def texts(row: Row) -> str:
    """The query."""
    return row.text("anchor")


def score(row: Row, asked: Asked) -> Scoring:
    """Where the right texts rank among all of the row, by cosine."""
    from sklearn.metrics import ndcg_score

    right, wrong = row.text_or_texts("positive"), row.text_or_texts("negative")
    vectors = []
    for text in (row.text("anchor"), *right, *wrong):
        answer = yield from answered(asked, Query(text))
        vectors.append(np.asarray(answer["embedding"], dtype=np.float64))
    scores = np.array([cosine(vectors[0], vector) for vector in vectors[1:]])
    relevant = np.array([1.0] * len(right) + [0.0] * len(wrong))
    # Equals rank with the wrong ones first: a model that tells nothing apart gains nothing.
    order = np.lexsort((relevant, -scores))
    ranks = np.flatnonzero(relevant[order]) + 1
    gain = float(ndcg_score(relevant[None], scores[None], k=_CUT))
    recalls = [float((ranks <= cut).sum() / len(right)) for cut in (1, 5, _CUT)]
    first = int(ranks[0])
    best = (*right, *wrong)[int(order[0])]
    return Mark((1.0 / first, gain, *recalls), best, right[0], first == 1)


def metrics(context: Context) -> tuple[Metric, ...]:
    """Mean reciprocal rank, nDCG and recalls."""
    return (
        mean_of("MRR", 0),
        mean_of("nDCG@10", 1),
        mean_of("recall@1", 2),
        mean_of("recall@5", 3),
        mean_of("recall@10", 4),
    )
