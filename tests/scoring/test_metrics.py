"""Metrics against the libraries that define them, and intervals that mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.scoring.kinds import classification, entities, kind, multi_label, names, regression
from edgekit.scoring.kinds.answers import f1, normalised
from edgekit.scoring.metrics import Matrix, change, estimate, mean_of, perplexity, ratio_of
from edgekit.tasks import Context

LABELS = Context(labels=("bad", "fair", "good"))


def marks_of(rows: int, skill: float, seed: int = 0) -> Matrix:
    """Marks of a classifier of three labels that is right in a share of rows."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, rows)
    logits = draw.normal(size=(rows, 3))
    logits[np.arange(rows), truth] += 6 * (draw.random(rows) < skill)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = odds.argmax(axis=1)
    return np.column_stack([truth, found, odds.max(axis=1), odds]).astype(np.float64)


@pytest.mark.parametrize("name", ["accuracy", "macro F1", "MCC", "calibration error"])
def test_the_quick_form_is_the_librarys_on_any_resample(name: str) -> None:
    (metric,) = [one for one in classification.metrics(LABELS) if one.name == name]
    draw = np.random.default_rng(1)
    for rows in (1, 2, 7, 120):
        marks = marks_of(rows, 0.6, rows)
        chosen = draw.integers(0, rows, rows)
        weights = np.bincount(chosen, minlength=rows).astype(np.float64)
        assert metric.weighted is not None
        assert metric.weighted(marks, weights) == pytest.approx(metric.of(marks[chosen]))


def test_the_quick_form_of_rankings_is_the_librarys() -> None:
    draw = np.random.default_rng(4)
    (auroc,) = [one for one in classification.metrics(LABELS) if one.name == "AUROC"]
    pairs = np.column_stack([draw.integers(0, 5, 80), draw.normal(size=80).round(1)])
    cases = [(auroc, marks_of(80, 0.3)), *((one, pairs) for one in regression.metrics(LABELS))]
    for metric, marks in cases:
        for _ in range(5):
            chosen = draw.integers(0, 80, 80)
            weights = np.bincount(chosen, minlength=80).astype(np.float64)
            assert metric.weighted is not None
            assert metric.weighted(marks, weights) == pytest.approx(metric.of(marks[chosen]))


def test_the_quick_form_of_several_labels_is_the_librarys() -> None:
    draw = np.random.default_rng(2)
    marks = (draw.random((40, 6)) < 0.4).astype(np.float64)
    for metric in multi_label.metrics(LABELS):
        chosen = draw.integers(0, 40, 40)
        weights = np.bincount(chosen, minlength=40).astype(np.float64)
        assert metric.weighted is not None
        assert metric.weighted(marks, weights) == pytest.approx(metric.of(marks[chosen]))


def test_auroc_is_that_of_one_label_against_the_rest() -> None:
    from sklearn.metrics import roc_auc_score

    marks = marks_of(200, 0.4)
    (metric,) = [one for one in classification.metrics(LABELS) if one.name == "AUROC"]
    wanted = roc_auc_score(marks[:, 0], marks[:, 3:], multi_class="ovr", average="macro")
    assert metric.of(marks) == pytest.approx(wanted)
    two = Context(labels=("no", "yes"))
    binary = np.column_stack(
        [marks[:, 0] > 0, marks[:, 1] > 0, marks[:, 2], marks[:, 3], 1 - marks[:, 3]]
    )
    (metric,) = [one for one in classification.metrics(two) if one.name == "AUROC"]
    assert metric.of(binary.astype(float)) == pytest.approx(
        roc_auc_score(binary[:, 0], binary[:, 4])
    )


def test_calibration_error_of_a_sure_liar_is_what_it_claims() -> None:
    marks = np.array([[0.0, 1.0, 0.9, 0.1, 0.9]] * 10)
    (metric,) = [m for m in classification.metrics(LABELS) if m.name == "calibration error"]
    assert metric.of(marks) == pytest.approx(0.9)
    half = np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.5]])
    assert metric.of(half) == pytest.approx(0.0)


def test_entity_f1_is_seqevals() -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.metrics.sequence_labeling import get_entities

    draw = np.random.default_rng(3)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    truth = [[tags[i] for i in draw.integers(0, 5, 12)] for _ in range(30)]
    found = [
        [t if draw.random() < 0.7 else tags[draw.integers(0, 5)] for t in row] for row in truth
    ]
    marks = []
    for wanted, made in zip(truth, found, strict=True):
        a, b = set(get_entities(wanted)), set(get_entities(made))
        right = sum(x == y for x, y in zip(wanted, made, strict=True))
        marks.append([len(a & b), len(b), len(a), right, len(wanted), a == b])
    figures = {m.name: m.of(np.array(marks, float)) for m in entities.metrics(LABELS)}
    assert figures["entity F1"] == pytest.approx(f1_score(truth, found))
    assert figures["precision"] == pytest.approx(precision_score(truth, found))
    assert figures["recall"] == pytest.approx(recall_score(truth, found))


@pytest.mark.parametrize(
    ("found", "wanted", "value"),
    [
        ("the Eiffel Tower", "Eiffel tower!", 1.0),
        ("in Paris, France", "Paris", 0.5),
        ("", "Paris", 0.0),
        ("a an the", "the", 1.0),
        ("dog dog cat", "dog cat cat", 2 / 3),
    ],
)
def test_squad_f1_by_hand(found: str, wanted: str, value: float) -> None:
    assert f1(found, wanted) == pytest.approx(value)
    assert normalised(" The  Cat's-paw ") == "catspaw"


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    metric = classification.metrics(LABELS)[1]
    whole = metric.of(marks_of(60_000, 0.6, seed=99))
    hits = 0
    for seed in range(40):
        found = estimate(metric, marks_of(150, 0.6, seed=1000 + seed), seed)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= whole <= found.high
    assert 33 <= hits <= 40  # 95 % of 40 is 38


def test_a_paired_difference_sees_what_unpaired_intervals_hide() -> None:
    metric = classification.metrics(LABELS)[0]
    first = marks_of(400, 0.6)
    other = first.copy()
    wrong = np.flatnonzero(other[:, 0] == other[:, 1])[:16]
    other[wrong, 1] = (other[wrong, 0] + 1) % 3
    one, two = estimate(metric, first), estimate(metric, other)
    moved = change(one, two)
    assert moved is not None
    assert moved.value == pytest.approx(-16 / 400)
    assert moved.significant
    assert one.low is not None
    assert two.high is not None
    assert one.low < two.high  # the intervals of both overlap
    same = change(one, estimate(metric, first))
    assert same is not None
    assert (same.value, same.low, same.high, same.significant) == (0, 0, 0, False)


def test_a_difference_in_rounding_is_none() -> None:
    draw = np.random.default_rng(0)
    metric = mean_of("loss", 0, better=-1)
    first = draw.uniform(1, 2, (200, 1))
    for factor, significant in ((1 + 1e-7, False), (1 + 1e-3, True)):
        moved = change(estimate(metric, first), estimate(metric, first * factor))
        assert moved is not None
        assert moved.low > 0  # every row is worse by a little
        assert moved.significant is significant


def test_a_share_at_its_end_has_an_interval_still() -> None:
    found = estimate(mean_of("right", 0, share=True), np.ones((20, 1)))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert 0.8 < found.low < 0.9


def test_what_rows_do_not_define_is_no_number() -> None:
    one_class = marks_of(30, 0.6)
    one_class[:, 0] = 1
    metrics = {metric.name: metric for metric in classification.metrics(LABELS)}
    assert estimate(metrics["AUROC"], one_class).value is None
    assert estimate(metrics["accuracy"], np.empty((0, 6))).value is None
    from edgekit.scoring.kinds.similarity import metrics as correlations

    constant = np.column_stack([np.arange(10.0), np.ones(10)])
    assert [estimate(metric, constant).value for metric in correlations(LABELS)] == [None, None]
    nothing = ratio_of("ratio", [(1.0, 0)], [(1.0, 1)])
    assert estimate(nothing, np.zeros((5, 2))).value is None


def test_perplexity_is_infinite_rather_than_an_error() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(1e4) == math.inf


def test_every_kind_has_the_whole_interface() -> None:
    for name in names():
        one = kind(name)
        assert one.TASKS
        assert one.COLUMNS
        assert set(one.PERTURBED) <= set(one.COLUMNS) | set(one.OPTIONAL)
        assert len(one.metrics(LABELS)) >= 1
        assert len(one.fields(LABELS)) >= 1
