"""Zero-shot classification: labels of your own, scored by a model of natural language inference.

One pass for each label: does the text entail "This example is LABEL."? (Yin et al. 2019)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.errors import SpecError
from edgekit.tasks import Context, Floats, Ids, Pair, Query, Run, probabilities

AGREEMENT = "same top-1 label"
TAKES = {"labels": True, "template": False, "multi_label": False}
_ENTAILS, _CONTRADICTS = "entail", "contra"


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """The logits of one pair, as one row."""
    return output.reshape(1, -1)


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of pairs with the same top label."""
    same = [a.argmax() == b.argmax() for a, b in zip(reference, other, strict=True)]
    return float(np.mean(same))


def inference_labels(labels: Sequence[str]) -> tuple[int, int] | None:
    """Which outputs mean entailment and contradiction, by their names; None where none entails.

    Where no label is named a contradiction it is the first one, or the last after an entailment.
    """
    low = [label.lower() for label in labels]
    entails = next((i for i, label in enumerate(low) if label.startswith(_ENTAILS)), None)
    if entails is None or len(low) < 2:
        return None
    unnamed = len(low) - 1 if entails == 0 else 0
    named = (i for i, label in enumerate(low) if label.startswith(_CONTRADICTS))
    return entails, next(named, unnamed)


def pairs(query: Query, context: Context) -> list[Pair]:
    """The text with a hypothesis for each label.

    Raises:
        SpecError: the template has no place for the label.
    """
    if "{}" not in query.template:
        raise SpecError(
            f"the template {query.template!r} has no place for a label",
            hint="Put {} where it belongs: 'This example is {}.'",
        )
    return [(query.text, query.template.replace("{}", label)) for label in query.labels]


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Labels with scores, best first.

    The scores add up to 1, unless several labels can be true or there is only one: then each is
    the probability of entailment against contradiction.
    """
    found = inference_labels(context.labels)
    assert found is not None  # an export without such a label is refused
    logits = np.stack([run.output.reshape(-1) for run in runs])
    if query.multi_label or len(query.labels) == 1:
        scores = probabilities(logits[:, list(found)])[:, 0]
    else:
        scores = probabilities(logits[:, found[0]])
    order = np.argsort(-scores, kind="stable")
    labels = [{"label": query.labels[i], "score": float(scores[i])} for i in order]
    return {"text": query.text, "labels": labels}
