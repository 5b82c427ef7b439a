"""Parity figures, against numbers that can be worked out by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from edgekit import parity
from edgekit.bundle.manifest import HopQuality, Tolerance
from edgekit.tasks import task
from tests.support.refusals import refused

FLOOR = Tolerance(worst_cosine=0.9, mean_cosine=0.95, same_artifact=0.99)
SIMILARITY = task("sentence-similarity")


def rows(*vectors: list[float], width: int = 16) -> list[parity.Floats]:
    """One row a sample, filled up with zeros to a width that is compared by direction."""
    filled = [vector + [0.0] * (width - len(vector)) for vector in vectors]
    return [np.array([vector], np.float32) for vector in filled]


def test_cosines() -> None:
    near = parity.cosines(
        rows([1, 0], [1, 0], [1, 0], [3, 4], [0, 0], [0, 0]),
        rows([5, 0], [0, 2], [-1, 0], [4, 3], [0, 0], [1, 0]),
    )
    np.testing.assert_allclose(near, [1, 0, -1, 0.96, 1, 0], atol=1e-7)


def test_narrow_outputs_count_by_size() -> None:
    # Lengths 3 and 1: their root mean square is the square root of 5.
    reference = rows([3, 0], [1, 0], width=2)
    near = parity.cosines(reference, rows([3, 0], [-1, 0], width=2))
    np.testing.assert_allclose(near, [1.0, (5 - 1) / (5 + 1)], atol=1e-7)
    # A tiny error beside nothing turns the direction round, and is still a tiny error.
    logits = [*reference, *rows([1e-4, 0], width=2)]
    near = parity.cosines(logits, [*reference, *rows([-1e-4, 0], width=2)])
    assert near.min() > 0.999999
    # One value: not only its sign counts.
    one, wrong = rows([2.0], [4.0], width=1), rows([4.0], [2.0], width=1)
    np.testing.assert_allclose(parity.cosines(one, one), 1.0, atol=1e-12)
    assert parity.cosines(one, wrong).max() < 0.95


def test_the_worst_of_a_narrow_output_has_twice_the_room_and_the_mean_has_no_more() -> None:
    wide, narrow = rows([1, 0], [1, 0]), rows([1, 0], [1, 0], width=3)
    assert parity.least_worst(FLOOR, wide) == 0.9
    assert parity.least_worst(FLOOR, narrow) == 0.8

    def passed(turn: float, width: int, floor: Tolerance) -> bool:
        turned = rows([1, 0], [1, turn], width=width)
        reference = rows([1, 0], [1, 0], width=width)
        hop = parity.measure("onnx", "m", SIMILARITY, ["a", "b"], reference, turned, floor)
        assert hop.floor_worst == parity.least_worst(floor, reference)
        return hop.passed

    loose = FLOOR.model_copy(update={"mean_cosine": 0.5})
    # Its cosine is 0.894 alone, and 0.943 beside a coordinate of a usual length.
    assert not passed(0.5, 16, loose)
    # 0.860, which only the room of a narrow output lets pass, and 0.784, which nothing does.
    assert passed(0.84, 3, loose)
    assert not passed(1.12, 3, loose)
    # A mean of 0.93 is too little, however wide.
    assert not passed(0.84, 3, FLOOR)


def test_a_cosine_never_leaves_its_range() -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 1, 20)).astype(np.float32)
    near = parity.cosines(list(vectors), list(vectors * np.float32(1.7)))
    assert near.max() <= 1.0
    assert near.min() > 1 - 1e-9
    large = rows([3e38, 3e38])
    np.testing.assert_allclose(parity.cosines(large, large), [1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_as_far_as_can_be(bad: float) -> None:
    good = rows([1, 2])
    for reference, other in ((good, rows([1, bad])), (rows([1, bad]), good), (rows([bad, 1]),) * 2):
        assert parity.cosines(reference, other).tolist() == [-1.0]
        assert parity.snr_db(reference, other) == -np.inf
        hop = parity.measure("onnx", "m", SIMILARITY, ["t"], reference, other, FLOOR)
        assert not hop.passed
        assert (hop.worst_cosine, hop.snr_db, hop.agreement) == (-1.0, -999.0, 0.0)
        assert not parity.measure("onnx", "m", SIMILARITY, ["t"], reference, other).passed


def test_another_shape_is_as_far_as_can_be() -> None:
    hop = parity.measure(
        "onnx", "m", SIMILARITY, ["t"], rows([1, 2]), rows([1, 2], width=17), FLOOR
    )
    assert (hop.worst_cosine, hop.passed) == (-1.0, False)


def test_another_number_of_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        parity.cosines(rows([1], [2]), rows([1]))


def test_snr() -> None:
    assert parity.snr_db(rows([3, 4]), rows([3, 4])) is None
    # Signal 100, noise 1.
    found = parity.snr_db(rows([6, 8]), rows([6, 9]))
    assert found == pytest.approx(20.0)
    found = parity.snr_db(rows([6, 8], [0, 0]), rows([6, 8], [0, 10]))
    assert found == pytest.approx(0.0)


def test_the_worst_sample_is_named_and_floors_decide() -> None:
    reference = rows([1, 0], [1, 0], [1, 0])
    texts = ["one", "two", "three"]

    def hop(*others: list[float], floor: Tolerance = FLOOR) -> HopQuality:
        return parity.measure("onnx", "m", SIMILARITY, texts, reference, rows(*others), floor)

    fine = hop([1, 0], [1, 0.1], [1, 0])
    assert fine.passed
    assert fine.worst_sample == "two"
    assert fine.worst_cosine == pytest.approx(1 / np.hypot(1, 0.1), abs=1e-7)
    assert (fine.floor_worst, fine.floor_mean, fine.samples) == (0.9, 0.95, 3)
    one_bad = hop([1, 0], [1, 0], [1, 0.6])
    assert one_bad.mean_cosine >= 0.95 > 0.9 > one_bad.worst_cosine
    assert (one_bad.passed, one_bad.worst_sample) == (False, "three")
    all_middling = hop([1, 0.4], [1, 0.4], [1, 0.4])
    assert 0.9 <= all_middling.worst_cosine < 0.95
    assert not all_middling.passed


def test_drift_from_its_own_golden() -> None:
    reference, mine = rows([1, 0]), rows([1, 0.3])
    same = parity.measure("a76", "m", SIMILARITY, ["t"], reference, mine, FLOOR, mine)
    assert same.same_artifact == 1.0
    assert same.passed
    other = parity.measure("a76", "m", SIMILARITY, ["t"], reference, mine, FLOOR, rows([1, 0]))
    assert other.worst_cosine > 0.9
    assert other.same_artifact is not None
    assert other.same_artifact < 0.99
    assert not other.passed


def test_every_task_is_known_by_its_file() -> None:
    from edgekit.errors import SpecError
    from edgekit.tasks import names

    assert names() == sorted(names())
    for name in names():
        assert task(name).AGREEMENT
    error = refused(SpecError, 64, "fill-msk", lambda: task("fill-msk"))
    assert "Did you mean 'fill-mask'?" in error.hint
    for evil in ("../os", "__init__", "os.path", ""):
        refused(SpecError, 64, repr(evil), partial(task, evil))
