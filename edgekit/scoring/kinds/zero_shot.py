"""Texts with labels of their own, one of which is right, for models of language inference."""

from __future__ import annotations

from dataclasses import replace

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Metric, mean_of
from edgekit.tasks import Context, Query

TASKS = ("zero-shot-classification",)
COLUMNS = {"text": "the text", "labels": "a list of labels", "label": "the right one"}
OPTIONAL = {"template": "a sentence with {} for the label"}
PERTURBED = ("text",)


def fields(context: Context) -> tuple[str, ...]:
    """Whether the right label is first, and its probability."""
    return ("right", "p(right)")


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """The likeliest label."""
    labels = row.texts("labels", 2)
    truth = row.index("label", labels)
    query = Query(row.text("text"), labels=labels)
    if row.values.get("template"):
        query = replace(query, template=row.text("template"))
    answer = yield from answered(asked, query)
    scores = {entry["label"]: float(entry["score"]) for entry in answer["labels"]}
    best = str(answer["labels"][0]["label"])
    right = best == labels[truth]
    return Mark((float(right), scores[labels[truth]]), best, labels[truth], right)


def metrics(context: Context) -> tuple[Metric, ...]:
    """Accuracy, and the mean probability of the right label."""
    return (mean_of("accuracy", 0, share=True), mean_of("p(right)", 1))
