"""What each task makes of an output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import TextRefused
from edgekit.tasks import (
    Context,
    Floats,
    Query,
    Run,
    fill_mask,
    sentence_similarity,
    text_classification,
)
from edgekit.tasks import feature_extraction as features
from tests.support.refusals import refused

IDS = np.array([[1, 5, 6, 2]])
LABELS = Context(labels=("bad", "fair", "good"))


def logits(*values: float) -> Floats:
    return np.array([values], np.float32)


def classify(output: Floats, context: Context) -> dict[str, float]:
    answer = text_classification.answer([Run(output, IDS)], Query("a text"), context)
    assert answer["text"] == "a text"
    scores = [entry["score"] for entry in answer["labels"]]
    assert scores == sorted(scores, reverse=True)
    return {entry["label"]: entry["score"] for entry in answer["labels"]}


def test_single_label() -> None:
    found = classify(logits(0.0, np.log(2.0), np.log(5.0)), LABELS)
    assert list(found) == ["good", "fair", "bad"]
    assert list(found.values()) == pytest.approx([5 / 8, 2 / 8, 1 / 8])


def test_huge_logits() -> None:
    found = classify(logits(-3e38, 0.0, 3e38), LABELS)
    assert found == {"good": 1.0, "fair": 0.0, "bad": 0.0}


def test_equal_scores_keep_the_order_of_labels() -> None:
    assert list(classify(logits(1, 1, 1), LABELS)) == ["bad", "fair", "good"]


def test_multi_label() -> None:
    context = replace(LABELS, problem="multi_label_classification")
    found = classify(logits(0.0, np.log(3.0), np.log(9.0)), context)
    assert found == pytest.approx({"good": 0.9, "fair": 0.75, "bad": 0.5})


def test_regression() -> None:
    context = Context(labels=("stars",), problem="regression")
    answer = text_classification.answer([Run(logits(3.25), IDS)], Query("t"), context)
    assert answer == {"text": "t", "value": 3.25}


def test_regression_with_several_values_loses_none() -> None:
    context = replace(LABELS, problem="regression")
    runs = [Run(logits(3.25, -1.0, 0.5), IDS)]
    answer = text_classification.answer(runs, Query("t"), context)
    assert answer == {"text": "t", "values": {"bad": 3.25, "fair": -1.0, "good": 0.5}}


def test_regression_agreement_is_by_size() -> None:
    reference = [np.array([[value]], dtype=np.float32) for value in (-2.0, 0.1, 2.0, 3.0)]
    other = [
        rows + np.float32(error)
        for rows, error in zip(reference, (0, 0.05, 0.5, 0.01), strict=True)
    ]
    assert text_classification.agreement(reference, other) == 0.75


def test_classification_agreement() -> None:
    reference = [logits(0, 1, 2), logits(5, 1, 2), logits(0, 7, 2), logits(0, 7, 2)]
    other = [logits(0, 2, 9), logits(4, 1, 2), logits(0, 7, 8), logits(1, 9, 8)]
    assert text_classification.agreement(reference, other) == 0.75


# Fill mask

MASKS = Context(mask_token_id=3, tokens=("a", "b", "c", "[MASK]", "e"), top_k=2)


def test_several_masks() -> None:
    ids = np.array([[0, 3, 1, 3]])
    output = np.zeros((1, 4, 5), np.float32)
    output[0, 1] = np.log([1, 2, 4, 1, 2])
    output[0, 3] = np.log([6, 1, 1, 1, 1])
    output[0, 0] = [9, 9, 9, 9, 99]  # not a mask: never looked at
    answer = fill_mask.answer([Run(output, ids)], Query("x"), MASKS)
    assert len(answer["masks"]) == 2
    first, second = answer["masks"]
    assert [fill["token"] for fill in first] == ["c", "b"]
    assert [fill["score"] for fill in first] == pytest.approx([0.4, 0.2])
    assert second[0] == {"token": "a", "score": pytest.approx(0.6)}
    rows = fill_mask.rows(output, ids, MASKS)
    np.testing.assert_array_equal(rows, output[0, [1, 3]])


def test_no_mask() -> None:
    output = np.zeros((1, 4, 5), np.float32)
    text = "no gap here"
    error = refused(
        TextRefused,
        65,
        text,
        lambda: fill_mask.answer([Run(output, np.array([[0, 1, 2, 4]]))], Query(text), MASKS),
    )
    assert "[MASK]" in error.hint


def test_without_a_mask_some_tokens_are_compared() -> None:
    output = np.arange(10 * 5, dtype=np.float32).reshape(1, 10, 5)
    rows = fill_mask.rows(output, np.zeros((1, 10), np.int64), MASKS)
    np.testing.assert_array_equal(rows, output[0, [1, 5]])
    shortest = fill_mask.rows(output[:, :3], np.zeros((1, 3), np.int64), MASKS)
    assert shortest.shape == (1, 5)


def test_fill_agreement_needs_every_mask() -> None:
    a = np.array([[0, 1], [1, 0]], np.float32)
    b = np.array([[0, 1], [0, 1]], np.float32)
    assert fill_mask.agreement([a, a], [a * 3, b]) == 0.5


# Vectors


def test_embedding() -> None:
    answer = sentence_similarity.answer([Run(logits(0.5, -1.0), IDS)], Query("t"), Context())
    assert answer == {"text": "t", "embedding": [0.5, -1.0]}


def test_nearest_neighbours() -> None:
    reference = [logits(1, 0), logits(0.9, 0.1), logits(0, 1), logits(0.1, 0.9)]
    assert sentence_similarity.agreement(reference, [x * 7 for x in reference]) == 1.0
    swapped = [reference[0], reference[2], reference[1], reference[3]]
    assert sentence_similarity.agreement(reference, swapped) == 0.0
    assert sentence_similarity.agreement(reference[:2], [-x for x in reference[:2]]) == 1.0


def test_token_vectors() -> None:
    output = np.array([[[1, 0], [0, 1], [0.6, 0.8]]], np.float32)
    ids = np.array([[0, 1, 4]])
    answer = features.answer([Run(output, ids)], Query("t"), MASKS)
    assert answer["tokens"] == ["a", "b", "e"]
    np.testing.assert_allclose(answer["features"], output[0])
    rows = features.rows(output, ids, MASKS)
    assert features.agreement([rows, rows], [rows * 1.1, rows[::-1].copy()]) == 0.5
