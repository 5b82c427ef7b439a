"""Text classification: a score for each label of a text, or of a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.tasks import Context, Floats, Ids, Pair, Query, Run, probabilities

# A regression has no label: there a value within this share of a usual one is the same.
_NEAR = 0.05
AGREEMENT = "same top-1 label"
TAKES = {"context": False}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """The logits, as one row."""
    return output.reshape(1, -1)


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of texts with the same top label; for a single value, with nearly the same value."""
    if reference[0].size == 1:
        values, others = np.concatenate(reference), np.concatenate(other)
        usual = float(np.sqrt(np.square(values, dtype=np.float64).mean()))
        return float(np.mean(np.abs(values - others) <= _NEAR * usual))
    same = [a.argmax() == b.argmax() for a, b in zip(reference, other, strict=True)]
    return float(np.mean(same))


def pairs(query: Query, context: Context) -> list[Pair]:
    """The text, with the second one where there is one."""
    return [(query.text, query.context)]


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Labels with scores, best first: softmax, or sigmoid for multi-label.

    Regression gives its one value, or with several labels the value of each.
    """
    (run,) = runs
    text, logits = query.text, run.output.reshape(-1).astype(np.float64)
    if context.problem == "regression" and len(logits) == 1:
        return {"text": text, "value": float(logits[0])}
    if context.problem == "regression":
        values = zip(context.labels, logits.tolist(), strict=True)
        return {"text": text, "values": dict(values)}
    if context.problem == "multi_label_classification":
        scores = 1.0 / (1.0 + np.exp(-logits))
    else:
        scores = probabilities(logits)
    order = np.argsort(-scores, kind="stable")
    labels = [{"label": context.labels[i], "score": float(scores[i])} for i in order]
    return {"text": text, "labels": labels}
