"""Texts, or pairs of texts, with the one label that each should get."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring, require_labels
from edgekit.scoring.metrics import Matrix, Metric, Weights
from edgekit.tasks import Context, Query

TASKS = ("text-classification",)
PROBLEMS = (None, "single_label_classification")
COLUMNS = {"text": "the text", "label": "a label of the model, by name or index"}
OPTIONAL = {"context": "the second text of a pair"}
PERTURBED = ("text", "context")

TRUTH, FOUND, CONFIDENCE, FIRST = range(4)
# Probabilities of more labels than these are not kept: no ranking metric then.
_MOST_RANKED = 32
_BINS = 15


def fields(context: Context) -> tuple[str, ...]:
    """Truth, answer, its probability, and the probability of each label."""
    labels = context.labels if len(context.labels) <= _MOST_RANKED else ()
    return ("truth", "found", "confidence", *(f"p({label})" for label in labels))


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """Truth and answer."""
    labels = require_labels(asked.context, "classification")
    truth = row.index("label", labels)
    query = Query(row.text("text"), row.text("context") if row.values.get("context") else None)
    answer = yield from answered(asked, query)
    found = {entry["label"]: entry["score"] for entry in answer["labels"]}
    best = answer["labels"][0]["label"]
    ranked = [found[label] for label in labels] if len(labels) <= _MOST_RANKED else []
    index = labels.index(best)
    numbers = (float(truth), float(index), float(found[best]), *ranked)
    return Mark(numbers, str(best), labels[truth], index == truth)


def metrics(context: Context) -> tuple[Metric, ...]:
    """Accuracy, macro F1, Matthews correlation, AUROC, calibration error (Guo et al. 2017)."""
    classes = len(context.labels)
    found = [
        Metric("accuracy", _accuracy, _weighted_accuracy, _right),
        Metric("macro F1", _macro_f1, partial(_weighted_f1, classes)),
        Metric("MCC", _mcc, partial(_weighted_mcc, classes)),
    ]
    if 2 <= classes <= _MOST_RANKED:
        found.append(Metric("AUROC", partial(_auroc, classes), partial(_weighted_auroc, classes)))
    found.append(Metric("calibration error", _ece, _weighted_ece, better=-1))
    return tuple(found)


def _right(marks: Matrix) -> NDArray[np.float64]:
    return np.asarray(marks[:, TRUTH] == marks[:, FOUND], dtype=np.float64)


def _accuracy(marks: Matrix) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(marks[:, TRUTH], marks[:, FOUND]))


def _weighted_accuracy(marks: Matrix, weights: Weights) -> float:
    return float(weights @ _right(marks) / weights.sum())


def _macro_f1(marks: Matrix) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(marks[:, TRUTH], marks[:, FOUND], average="macro", zero_division=0))


def _confusion(classes: int, marks: Matrix, weights: Weights) -> NDArray[np.float64]:
    codes = (marks[:, TRUTH] * classes + marks[:, FOUND]).astype(np.int64)
    flat = np.bincount(codes, weights, classes * classes)
    return np.asarray(flat.reshape(classes, classes), dtype=np.float64)


def _weighted_f1(classes: int, marks: Matrix, weights: Weights) -> float:
    """Over the labels that occur on either side, as scikit-learn has it."""
    table = _confusion(classes, marks, weights)
    both = table.sum(axis=0) + table.sum(axis=1)
    occurs = both > 0
    return float((2.0 * np.diag(table)[occurs] / both[occurs]).mean())


def _mcc(marks: Matrix) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(marks[:, TRUTH], marks[:, FOUND]))


def _weighted_mcc(classes: int, marks: Matrix, weights: Weights) -> float:
    """Gorodkin 2004; 0 where one side has a single label, as scikit-learn has it."""
    table = _confusion(classes, marks, weights)
    truth, found, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    above = np.trace(table) * total - truth @ found
    below = (total**2 - found @ found) * (total**2 - truth @ truth)
    return float(above / np.sqrt(below)) if below > 0 else 0.0


def _auroc(classes: int, marks: Matrix) -> float:
    from sklearn.metrics import roc_auc_score

    truth, ranked = marks[:, TRUTH], marks[:, FIRST:]
    if classes == 2:
        return float(roc_auc_score(truth, ranked[:, 1]))
    occurring = np.unique(truth).astype(int)
    if len(occurring) < 2:
        return float("nan")
    # One label against the rest, for the labels that the data has.
    return float(np.mean([roc_auc_score(truth == each, ranked[:, each]) for each in occurring]))


def _weighted_auroc(classes: int, marks: Matrix, weights: Weights) -> float:
    """The share of pairs in the right order, equals half (Hanley and McNeil 1982)."""
    ranked, found = marks[:, FIRST:], []
    for each in (1,) if classes == 2 else range(classes):
        _, group = np.unique(ranked[:, each], return_inverse=True)
        ours = marks[:, TRUTH] == each
        yes = np.bincount(group, weights * ours)
        no = np.bincount(group, weights * ~ours)
        pairs = float(yes.sum() * no.sum())
        if pairs:
            found.append(float(yes @ (np.cumsum(no) - no / 2)) / pairs)
        elif classes == 2 or not no.sum():
            return float("nan")
    return float(np.mean(found))


def _ece(marks: Matrix) -> float:
    return _weighted_ece(marks, np.ones(len(marks)))


def _weighted_ece(marks: Matrix, weights: Weights) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence."""
    bins = np.minimum((marks[:, CONFIDENCE] * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights * (marks[:, CONFIDENCE] - _right(marks)), _BINS)
    return float(np.abs(gaps).sum() / weights.sum())
