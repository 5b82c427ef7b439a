"""Texts that may have several labels at once."""

from __future__ import annotations

from functools import partial

import numpy as np

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring, require_labels
from edgekit.scoring.metrics import Matrix, Metric, Weights
from edgekit.tasks import Context, Query

TASKS = ("text-classification",)
PROBLEMS = ("multi_label_classification",)
COLUMNS = {"text": "the text", "labels": "a list of its labels; [] for none"}
OPTIONAL = {"context": "the second text of a pair"}
PERTURBED = ("text", "context")
_LEAST = 0.5


def fields(context: Context) -> tuple[str, ...]:
    """A truth and an answer for each label."""
    return (*(f"has {label}" for label in context.labels), *context.labels)


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """Labels with a probability of a half or more."""
    labels = require_labels(asked.context, "labels")
    wanted = row.texts("labels", 0)
    if unknown := sorted(set(wanted) - set(labels)):
        raise row.wrong(
            "labels", f"made of the model's labels, not {unknown[0]!r}: {', '.join(labels[:20])}"
        )
    query = Query(row.text("text"), row.text("context") if row.values.get("context") else None)
    answer = yield from answered(asked, query)
    found = {entry["label"] for entry in answer["labels"] if entry["score"] >= _LEAST}
    numbers = [float(label in wanted) for label in labels]
    numbers += [float(label in found) for label in labels]
    shown, truth = ", ".join(sorted(found)), ", ".join(sorted(wanted))
    return Mark(tuple(numbers), shown or "none", truth or "none", found == set(wanted))


def metrics(context: Context) -> tuple[Metric, ...]:
    """F1 over labels: the mean of each label's, and of all decisions together; exact sets."""
    count = len(context.labels)
    return (
        Metric("macro F1", partial(_f1, count, "macro"), partial(_macro, count)),
        Metric("micro F1", partial(_f1, count, "micro"), partial(_micro, count)),
        Metric("exact", partial(_exact, count), partial(_mostly, count), partial(_same, count)),
    )


def _f1(count: int, average: str, marks: Matrix) -> float:
    from sklearn.metrics import f1_score

    truth, found = marks[:, :count], marks[:, count:]
    return float(f1_score(truth, found, average=average, zero_division=0))


def _sums(count: int, marks: Matrix, weights: Weights) -> tuple[Matrix, Matrix]:
    truth, found = marks[:, :count], marks[:, count:]
    return weights @ (truth * found), weights @ (truth + found)


def _macro(count: int, marks: Matrix, weights: Weights) -> float:
    right, both = _sums(count, marks, weights)
    return float(np.divide(2.0 * right, both, out=np.zeros_like(both), where=both > 0).mean())


def _micro(count: int, marks: Matrix, weights: Weights) -> float:
    right, both = _sums(count, marks, weights)
    return float(2.0 * right.sum() / both.sum()) if both.sum() else 0.0


def _exact(count: int, marks: Matrix) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(marks[:, :count], marks[:, count:]))


def _same(count: int, marks: Matrix) -> Matrix:
    return np.asarray((marks[:, :count] == marks[:, count:]).all(axis=1), dtype=np.float64)


def _mostly(count: int, marks: Matrix, weights: Weights) -> float:
    return float(weights @ _same(count, marks) / weights.sum())
