"""Inputs of a length that was asked for, from a bundle's goldens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.candidates import Entry, open_bundles
from edgekit.bench.forecast import forecast
from edgekit.bench.inputs import bounds, lengths, sample, write
from edgekit.device import stream
from edgekit.errors import BundleCorrupt, InputMissing, SpecError
from tests.bench.scripted import bundle, signature
from tests.bundle import small
from tests.support.refusals import refused


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    return open_bundles([bundle(tmp_path / "b")])


@pytest.mark.parametrize("length", [2, 3, 5, 6, 16, 64])
def test_inputs_are_real_ids_of_the_length(entries: list[Entry], length: int) -> None:
    longest = max(entries[0].goldens, key=lambda golden: golden.inputs["input_ids"].shape[1])
    ids = longest.inputs["input_ids"]
    (first,) = sample(entries[0], length)  # the signature has no mask
    assert first.shape == (1, length)
    assert first.dtype == np.int64
    assert set(first[0]) <= set(ids[0])
    assert first[0, 0] == ids[0, 0]
    if length > 2:
        assert first[0, -1] == ids[0, -1]
    assert np.array_equal(sample(entries[0], 6)[0], ids)


def test_a_mask_pads_nothing(tmp_path: Path) -> None:
    shape = signature().model_dump()
    ids = shape["inputs"][0]
    shape["inputs"] = [ids, {**ids, "name": "attention_mask"}]
    limits = {"min_length": 2, "max_length": 64, "vocabulary": 100}
    made = small.bundle(tmp_path / "b", signature=shape, limits=limits)
    _, mask = sample(open_bundles([made])[0], 20)
    assert mask.tolist() == [[1] * 20]


def test_the_stream_is_read_back(entries: list[Entry], tmp_path: Path) -> None:
    write(tmp_path / "inputs", entries[0], 7)
    back = stream.read(tmp_path / "inputs")
    assert [tensor.shape for (tensor,) in back] == [(1, 7)]


def test_usual_lengths_that_fit(tmp_path: Path) -> None:
    for longest, expected in ((200, (16, 64, 128)), (64, (16, 64)), (10, (10,))):
        made = open_bundles([bundle(tmp_path / str(longest), longest=longest)])
        assert bounds(made[0].manifest) == (2, longest)
        assert lengths(made, None) == expected
    assert lengths(made, (7, 3, 7)) == (3, 7)


def test_a_length_over_the_limit_is_named(entries: list[Entry], tmp_path: Path) -> None:
    failure = refused(SpecError, 64, "128 tokens", lambda: lengths(entries, (16, 128)))
    assert "small does not take" in failure.message
    assert "2 to 64" in failure.message
    assert "--lengths" in failure.hint
    refused(SpecError, 64, "1 tokens", lambda: lengths(entries, (1,)))
    shorter = [*entries, *open_bundles([bundle(tmp_path / "s", longest=16, name="short")])]
    failure = refused(SpecError, 64, "short does not take 32", lambda: lengths(shorter, (16, 32)))
    assert "2 to 16" in failure.hint


def test_bundles_without_a_common_length(tmp_path: Path) -> None:
    limits = {"min_length": 40, "max_length": 64, "vocabulary": 9}
    made = open_bundles([bundle(tmp_path / "a", longest=16), bundle(tmp_path / "b", limits=limits)])
    refused(SpecError, 64, "no input length", lambda: lengths(made, None))
    failure = refused(SpecError, 64, "small does not take 50", lambda: lengths(made, (50,)))
    assert "one by one" in failure.hint


def test_names_of_artifacts(tmp_path: Path) -> None:
    one, two = bundle(tmp_path / "one"), bundle(tmp_path / "two", name="other")
    assert [e.candidate.id for e in open_bundles([one])] == ["model.pte", "model.onnx"]
    names = [e.candidate.id for e in open_bundles([one, two, one], ["onnx"])]
    assert names == ["small/model.onnx", "other/model.onnx", "small#2/model.onnx"]
    first, *_, again = open_bundles([one, two, one], ["onnx"])
    assert first.stored_as == again.stored_as
    assert first.candidate.sha256 == again.candidate.sha256
    assert (first.candidate.ordinal, again.candidate.ordinal) == (0, 2)


def test_memory_that_an_artifact_should_take(tmp_path: Path) -> None:
    planned = {**small.artifact("executorch", "model.pte"), "planned_memory": 700}
    made = bundle(tmp_path / "b", artifacts=[planned, small.artifact("onnx", "model.onnx")])
    pte, onnx = open_bundles([made])
    empty = [
        forecast(entry.manifest, entry.manifest.artifacts[n]) for n, entry in enumerate((pte, onnx))
    ]
    assert [(one.weights, one.planned, one.cache, one.workspace) for one in empty] == [
        (300, 700, 0, 0),
        (300, 0, 0, 0),
    ]
    assert pte.candidate.forecast_bytes == empty[0].program + 1000
    assert onnx.candidate.forecast_bytes == empty[1].program + 300


def test_bundles_are_checked_first(tmp_path: Path) -> None:
    made = bundle(tmp_path / "b")
    refused(SpecError, 64, "no tflite artifact", lambda: open_bundles([made], ["tflite"]))
    refused(InputMissing, 66, "no such bundle", lambda: open_bundles([tmp_path / "none"]))
    (made / "model.pte").write_bytes(b"x" * 300)
    refused(BundleCorrupt, 65, "'model.pte' was changed", lambda: open_bundles([made]))
