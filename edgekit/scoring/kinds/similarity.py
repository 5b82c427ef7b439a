"""Pairs of texts with a score of how alike they are: rank and linear correlation with cosines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Matrix, Metric, Weights
from edgekit.tasks import Context, Query

TASKS = ("sentence-similarity",)
COLUMNS = {"text_a": "a text", "text_b": "another", "score": "a number, more for more alike"}
OPTIONAL: dict[str, str] = {}
PERTURBED = ("text_a",)

WANTED, FOUND = range(2)


def fields(context: Context) -> tuple[str, ...]:
    """The data's score and the cosine."""
    return ("score", "cosine")


def texts(row: Row) -> str:
    """Both texts."""
    return f"{row.text('text_a')} {row.text('text_b')}"


def score(row: Row, asked: Asked) -> Scoring:
    """The cosine of both embeddings."""
    wanted = row.number_in("score")
    queries = [Query(row.text("text_a")), Query(row.text("text_b"))]
    vectors = []
    for query in queries:
        answer = yield from answered(asked, query)
        vectors.append(np.asarray(answer["embedding"], dtype=np.float64))
    found = cosine(*vectors)
    return Mark((wanted, found), f"{found:.3f}", f"{wanted:g}")


def cosine(one: Matrix, other: Matrix) -> float:
    """Cosine of two vectors; 0 where one has no length."""
    length = math.sqrt(float(one @ one)) * math.sqrt(float(other @ other))
    return float(one @ other) / length if length else 0.0


def metrics(context: Context) -> tuple[Metric, ...]:
    """Spearman and Pearson correlation."""
    return correlations()


def correlations() -> tuple[Metric, ...]:
    """Spearman's and Pearson's, of the first two columns."""
    return (
        Metric("Spearman", spearman, _weighted_spearman),
        Metric("Pearson", pearson, _weighted_pearson),
    )


def spearman(marks: Matrix) -> float:
    """Rank correlation of the first two columns; NaN where one is constant."""
    from scipy.stats import spearmanr

    return float(spearmanr(marks[:, WANTED], marks[:, FOUND]).statistic)


def pearson(marks: Matrix) -> float:
    """Linear correlation of the first two columns; NaN where one is constant."""
    from scipy.stats import pearsonr

    return float(pearsonr(marks[:, WANTED], marks[:, FOUND]).statistic)


def _weighted_spearman(marks: Matrix, weights: Weights) -> float:
    ranks = [_ranks(marks[:, column], weights) for column in (WANTED, FOUND)]
    return _weighted_pearson(np.column_stack(ranks), weights)


def _ranks(values: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """Ranks in a sample that holds each value so often as it weighs; equals share the middle."""
    _, group = np.unique(values, return_inverse=True)
    each = np.bincount(group, weights)
    return np.asarray((np.cumsum(each) - (each - 1) / 2)[group], dtype=np.float64)


def _weighted_pearson(marks: Matrix, weights: Weights) -> float:
    pair = marks[:, [WANTED, FOUND]]
    away = pair - weights @ pair / weights.sum()
    moments = (away * weights[:, None]).T @ away
    below = float(moments[0, 0] * moments[1, 1])
    return float(moments[0, 1] / np.sqrt(below)) if below > 0 else float("nan")
