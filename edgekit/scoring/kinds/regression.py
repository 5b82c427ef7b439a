"""Texts with a number that a model should give them."""

from __future__ import annotations

import numpy as np

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.kinds.similarity import FOUND, WANTED, correlations
from edgekit.scoring.metrics import Matrix, Metric, Weights
from edgekit.tasks import Context, Query

TASKS = ("text-classification",)
PROBLEMS = ("regression",)
COLUMNS = {"text": "the text", "score": "the number that it should get"}
OPTIONAL = {"context": "the second text of a pair"}
PERTURBED = ("text", "context")


def fields(context: Context) -> tuple[str, ...]:
    """The data's number and the model's."""
    return ("score", "value")


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """Both numbers; of several outputs the first."""
    wanted = row.number_in("score")
    query = Query(row.text("text"), row.text("context") if row.values.get("context") else None)
    answer = yield from answered(asked, query)
    value = answer["value"] if "value" in answer else next(iter(answer["values"].values()))
    return Mark((wanted, float(value)), f"{value:.3f}", f"{wanted:g}")


def metrics(context: Context) -> tuple[Metric, ...]:
    """Correlations and the mean absolute error."""
    return (
        *correlations(),
        Metric("mean absolute error", _error, _weighted_error, better=-1),
    )


def _error(marks: Matrix) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(marks[:, WANTED], marks[:, FOUND]))


def _weighted_error(marks: Matrix, weights: Weights) -> float:
    return float(weights @ np.abs(marks[:, WANTED] - marks[:, FOUND]) / weights.sum())
