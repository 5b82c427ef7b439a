"""Texts with several continuations, one of which is right."""

from __future__ import annotations

from edgekit.columns import Row
from edgekit.scoring.asking import answered
from edgekit.scoring.kinds import Asked, Mark, Scoring
from edgekit.scoring.metrics import Metric, mean_of
from edgekit.tasks import Context, Query

TASKS = ("multiple-choice",)
COLUMNS = {
    "text": "the text",
    "choices": "a list of continuations",
    "label": "the right one, or its place from 0",
}
OPTIONAL: dict[str, str] = {}
PERTURBED = ("text",)


def fields(context: Context) -> tuple[str, ...]:
    """Whether the right one is chosen, and its probability."""
    return ("right", "p(right)")


def texts(row: Row) -> str:
    """The text."""
    return row.text("text")


def score(row: Row, asked: Asked) -> Scoring:
    """The likeliest choice."""
    choices = row.texts("choices", 2)
    truth = row.index("label", choices)
    answer = yield from answered(asked, Query(row.text("text"), choices=choices))
    scores = {entry["choice"]: float(entry["score"]) for entry in answer["choices"]}
    best = str(answer["choices"][0]["choice"])
    right = best == choices[truth]
    return Mark((float(right), scores[choices[truth]]), best, choices[truth], right)


def metrics(context: Context) -> tuple[Metric, ...]:
    """Accuracy, and the mean probability of the right choice."""
    return (mean_of("accuracy", 0, share=True), mean_of("p(right)", 1))
