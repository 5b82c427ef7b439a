"""Samples become passes of a fixed number of texts, and outputs become the samples' own again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.runtime import Floats, Tensors, batches
from edgekit.runtime.encode import MASK, Inputs, unpad

PAD = 7
LENGTHS = (3, 9, 1, 4, 4, 12, 2)


def signature(texts: int, rows: bool = False) -> Signature:
    batch = Dim(name="batch", minimum=texts, maximum=texts)
    tokens = Dim(name="tokens", minimum=2, maximum=16)
    features = Dim(name="features", minimum=2, maximum=2)
    names = ("input_ids", MASK) if texts > 1 else ("input_ids",)
    return Signature(
        inputs=tuple(TensorSpec(name=n, dtype="int64", dims=(batch, tokens)) for n in names),
        outputs=(
            TensorSpec(
                name="out",
                dtype="float32",
                dims=(batch, tokens, features) if rows else (batch, features),
            ),
        ),
    )


def samples() -> list[Inputs]:
    draw = np.random.default_rng(0)
    return [{"input_ids": draw.integers(10, 99, size=(1, length))} for length in LENGTHS]


class Model:
    """Sums and counts what the mask shows; or, with ``rows``, twice each token beside its place."""

    def __init__(self, rows: bool) -> None:
        self.rows = rows
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        ids = inputs["input_ids"]
        mask = inputs.get(MASK, np.ones_like(ids))
        assert (ids[mask == 0] == PAD).all()
        assert (mask.sum(axis=1) > 0).all()
        self.shapes.append(ids.shape)
        if self.rows:
            places = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
            return {"out": np.stack([2 * ids * mask, places], axis=-1).astype(np.float32)}
        return {"out": np.stack([(ids * mask).sum(1), mask.sum(1)], axis=1).astype(np.float32)}

    def close(self) -> None:
        self.shapes.clear()

    def __call__(self, given: Sequence[Inputs]) -> list[Floats]:
        return [self.run(one)["out"] for one in given]


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("texts", [1, 2, 3, 8])
@pytest.mark.parametrize("sort", [False, True])
def test_each_text_gets_its_own_answer(rows: bool, texts: int, sort: bool) -> None:
    model, given = Model(rows), samples()
    found = batches.answers(model, given, signature(texts, rows), PAD, sort=sort)
    alone = Model(rows)(given)
    for got, wanted in zip(found, alone, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert len(model.shapes) == -(-len(given) // texts)
    assert {shape[0] for shape in model.shapes} == {texts}


def test_texts_of_like_length_go_together() -> None:
    model = Model(rows=False)
    batches.answers(model, samples(), signature(2), PAD)
    assert [shape[1] for shape in model.shapes] == [2, 4, 9, 12]
    model.close()
    batches.answers(model, samples(), signature(2), PAD, sort=False)
    assert [shape[1] for shape in model.shapes] == [9, 4, 12, 2]


def test_nothing_to_ask() -> None:
    assert batches.answers(Model(rows=False), [], signature(4), PAD) == []


def test_a_pass_is_filled_up_and_keeps_a_mask_of_its_own() -> None:
    padded: Inputs = {"input_ids": np.array([[5, PAD]]), MASK: np.array([[1, 0]])}
    made = batches.stacked([padded, {"input_ids": np.array([[6, 8, 9]])}], signature(3), PAD)
    assert made["input_ids"].tolist() == [[5, PAD, PAD], [6, 8, 9], [5, PAD, PAD]]
    assert made[MASK].tolist() == [[1, 0, 0], [1, 1, 1], [1, 0, 0]]
    types: Inputs = {"input_ids": np.array([[5, 6]]), "token_type_ids": np.array([[0, 1]])}
    spec = signature(2)
    with_types = Signature(
        inputs=(*spec.inputs, spec.inputs[0].model_copy(update={"name": "token_type_ids"})),
        outputs=spec.outputs,
    )
    longer: Inputs = {name: np.tile(rows, 2) for name, rows in types.items()}
    made = batches.stacked([types, longer], with_types, PAD)
    assert made["token_type_ids"].tolist() == [[0, 1, 0, 0], [0, 1, 0, 1]]


@pytest.mark.parametrize("rows", [False, True])
def test_a_session_takes_one_text_as_well(rows: bool) -> None:
    model = Model(rows)
    session = batches.FilledSession(model, signature(4, rows), PAD)
    for one in samples():
        np.testing.assert_array_equal(session.run(one)["out"], Model(rows).run(one)["out"])
    full = batches.stacked(samples()[:4], signature(4, rows), PAD)
    np.testing.assert_array_equal(session.run(full)["out"], model.run(full)["out"])
    session.close()
    assert model.shapes == []


def test_the_first_text_of_a_pass_is_what_counts() -> None:
    given = samples()[:3]
    full = batches.stacked(given, signature(3, rows=True), PAD)
    output, ids = unpad(Model(rows=True).run(full)["out"], full)
    np.testing.assert_array_equal(ids, given[0]["input_ids"])
    np.testing.assert_array_equal(output, Model(rows=True).run(given[0])["out"])
