"""Choices and labels of the user's own: one pass each, put together."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tasks import Context, Floats, Query, Run, multiple_choice, zero_shot_classification
from edgekit.tasks.zero_shot_classification import inference_labels

IDS = np.array([[1, 5, 2]])
NLI = Context(labels=("contradiction", "neutral", "entailment"))


def runs(*outputs: list[float]) -> list[Run]:
    return [Run(np.array([output], np.float32), IDS) for output in outputs]


def test_choices_are_weighed_against_each_other() -> None:
    query = Query("The sun", choices=("rises.", "sings.", "sets."))
    scores = [float(np.log(share)) for share in (5, 1, 4)]
    answer = multiple_choice.answer(runs(*([score] for score in scores)), query, Context())
    assert [choice["choice"] for choice in answer["choices"]] == ["rises.", "sets.", "sings."]
    assert [c["score"] for c in answer["choices"]] == pytest.approx([0.5, 0.4, 0.1])


def test_choice_agreement_is_the_order_of_neighbours() -> None:
    def rows(*values: float) -> list[Floats]:
        return [np.array([[value]], np.float32) for value in values]

    assert multiple_choice.agreement(rows(1, 2, 0), rows(10, 30, 20)) == 1.0
    assert multiple_choice.agreement(rows(1, 2, 0), rows(3, 2, 0)) == 0.5
    assert multiple_choice.agreement(rows(1), rows(9)) == 1.0


def test_labels_share_one_probability() -> None:
    query = Query("a", labels=("sport", "politics"))
    made = runs([9.0, 0.0, float(np.log(3.0))], [0.0, 9.0, 0.0])
    answer = zero_shot_classification.answer(made, query, NLI)
    assert [entry["label"] for entry in answer["labels"]] == ["sport", "politics"]
    assert [entry["score"] for entry in answer["labels"]] == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("labels", [("sport", "politics"), ("sport",)])
def test_labels_that_can_all_be_true(labels: tuple[str, ...]) -> None:
    query = Query("a", labels=labels, multi_label=True)
    made = runs([0.0, 9.0, float(np.log(3.0))], [float(np.log(4.0)), 9.0, 0.0])[: len(labels)]
    answer = zero_shot_classification.answer(made, query, NLI)
    assert answer["labels"][0] == {"label": "sport", "score": pytest.approx(0.75)}
    assert [entry["score"] for entry in answer["labels"][1:]] == pytest.approx(
        [0.2][: len(labels) - 1]
    )
    alone = Query("a", labels=labels)
    if len(labels) == 1:
        assert zero_shot_classification.answer(made, alone, NLI) == answer


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (0, 2)),
        (("neutral", "Entailment", "Contradiction"), (1, 2)),
        (("entailment", "not_entailment"), (0, 1)),
        (("not_entailment", "entailment"), (1, 0)),
        (("LABEL_0", "LABEL_1"), None),
        (("entailment",), None),
    ],
)
def test_entailment_is_found_by_name(
    labels: tuple[str, ...], found: tuple[int, int] | None
) -> None:
    assert inference_labels(labels) == found
