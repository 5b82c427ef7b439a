"""Multiple choice: which of several continuations follows a text. One pass for each choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.errors import SpecError
from edgekit.tasks import Context, Floats, Ids, Pair, Query, Run, probabilities

AGREEMENT = "same better one of two neighbouring samples"
TAKES = {"choices": True}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """The score of one choice, as one row."""
    return output.reshape(1, -1)


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of neighbouring samples that are in the same order; 1.0 for a single one."""
    if len(reference) < 2:
        return 1.0
    orders = [np.sign(np.diff(np.concatenate(rows).ravel())) for rows in (reference, other)]
    return float(np.mean(orders[0] == orders[1]))


def pairs(query: Query, context: Context) -> list[Pair]:
    """The text with each choice.

    Raises:
        SpecError: fewer than two choices.
    """
    if len(query.choices) < 2:
        raise SpecError("there is only one choice", hint="Give two or more.")
    return [(query.text, choice) for choice in query.choices]


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """The choices with probabilities that add up to 1, best first."""
    scores = probabilities(np.array([run.output.reshape(-1)[0] for run in runs]))
    order = np.argsort(-scores, kind="stable")
    choices = [{"choice": query.choices[i], "score": float(scores[i])} for i in order]
    return {"text": query.text, "choices": choices}
