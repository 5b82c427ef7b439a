import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgekit.bundle import goldens
from edgekit.errors import BundleCorrupt
from tests.bundle import small

GOOD = {
    "0000.reference": np.ones((1, 4), np.float32),
    "0000.input.input_ids": np.ones((1, 3), np.int64),
    "0000.expected.onnx": np.ones((1, 4), np.float32),
}


def test_round_trip(tmp_path: Path) -> None:
    written = [small.golden(seed) for seed in range(3)]
    goldens.write(tmp_path / "g", written)
    read = goldens.read(tmp_path / "g")
    assert [golden.text for golden in read] == [golden.text for golden in written]
    for one, other in zip(written, read, strict=True):
        np.testing.assert_array_equal(one.reference, other.reference)
        for mine, theirs in ((one.inputs, other.inputs), (one.expected, other.expected)):
            assert mine.keys() == theirs.keys()
            for name, value in mine.items():
                np.testing.assert_array_equal(value, theirs[name])
                assert value.dtype == theirs[name].dtype


def test_no_goldens_is_a_list_of_none(tmp_path: Path) -> None:
    goldens.write(tmp_path / "g", [])
    assert goldens.read(tmp_path / "g") == []


def test_bytes_depend_on_content_alone(tmp_path: Path) -> None:
    golden = small.golden(1)
    turned = goldens.Golden(
        golden.text,
        dict(reversed(golden.inputs.items())),
        np.asfortranarray(golden.reference),
        dict(reversed(golden.expected.items())),
    )
    goldens.write(tmp_path / "one", [golden])
    goldens.write(tmp_path / "two", [turned])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_dtype_is_not_written(tmp_path: Path) -> None:
    golden = small.golden(0)
    wide = goldens.Golden("x", golden.inputs, golden.reference.astype(np.float64))
    with pytest.raises(TypeError, match="float64, not float32"):
        goldens.write(tmp_path / "g", [wide])


@pytest.mark.parametrize(
    "changes",
    [
        {"0000.reference": None},
        {"0000.input.input_ids": None},
        {"0000.input.input_ids": np.ones((1, 3), np.int32)},
        {"0000.reference": np.ones(4, np.float32)},
        {"0000.expected.onnx": np.ones((1, 4), np.float16)},
        {"0001.reference": np.ones((1, 4), np.float32)},
        {"0000.expected.": np.ones((1, 4), np.float32)},
        {"0000.reference.more": np.ones((1, 4), np.float32)},
        {"0000": np.ones((1, 4), np.float32)},
        {"x.reference": np.ones((1, 4), np.float32)},
        {"0.reference": np.ones((1, 4), np.float32)},
    ],
)
def test_tensors_that_fit_no_golden(changes: dict[str, np.ndarray], tmp_path: Path) -> None:
    tensors = {name: value for name, value in (GOOD | changes).items() if value is not None}
    save_file(tensors, tmp_path / "g", {"texts": '["a"]'})
    with pytest.raises(BundleCorrupt, match="does not hold goldens"):
        goldens.read(tmp_path / "g")


@pytest.mark.parametrize("texts", [None, "", "{}", "[1]", "[" * 100_000])
def test_texts_must_be_a_list_of_texts(texts: str | None, tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "g", None if texts is None else {"texts": texts})
    with pytest.raises(BundleCorrupt, match="no list of texts"):
        goldens.read(tmp_path / "g")


def raw(header: dict[str, object], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a tensor file",
        struct.pack("<Q", 2**63) + b"{}",
        raw({"0000.reference": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"1234"),
        raw(
            {
                "__metadata__": {"texts": '["a"]'},
                "0000.reference": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]},
            },
            b"1234",
        ),
        raw(
            {
                "__metadata__": {"texts": '["a"]'},
                "0000.reference": {"dtype": "F8_E8M0", "shape": [1, 4], "data_offsets": [0, 4]},
            },
            b"1234",
        ),
    ],
)
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "g").write_bytes(content)
    with pytest.raises(BundleCorrupt, match="does not hold goldens"):
        goldens.read(tmp_path / "g")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt):
        goldens.read(tmp_path / "none")
