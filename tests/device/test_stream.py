"""The tensor stream: what goes in comes out, and nothing malformed is believed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgekit.device import stream
from edgekit.errors import InputRefused

HEAD = stream.MAGIC + struct.pack("<II", 1, 1)


def _sample(*fields: int) -> bytes:
    """A sample of one tensor: dtype, rank, dims, no data."""
    dtype, rank, *dims = fields
    return struct.pack(f"<III{len(dims)}Q", 1, dtype, rank, *dims)


MALFORMED = {
    "empty": b"",
    "wrong magic": b"NOTATENSORSTREAM" * 2,
    "newer version": stream.MAGIC + struct.pack("<II", 2, 0),
    "absurd sample count": stream.MAGIC + struct.pack("<II", 1, 0xFFFFFFFF),
    "absurd tensor count": HEAD + struct.pack("<I", 0xFFFFFFFF),
    "unknown dtype": HEAD + _sample(9, 0),
    "absurd rank": HEAD + _sample(1, 0xFFFFFFFF),
    "absurd dimension": HEAD + _sample(2, 1, 0xFFFFFFFFFFFFFFFF),
    "product that overflows 64 bits": HEAD + _sample(2, 3, 1 << 22, 1 << 22, 1 << 22),
    "tensor larger than the file": HEAD + _sample(1, 2, 1000, 1000),
    "bytes after the end": HEAD + _sample(1, 1, 0) + b"x",
}


def test_round_trip_keeps_type_shape_and_values(tmp_path: Path) -> None:
    given = [
        [np.arange(6, dtype=np.int64).reshape(2, 3), np.float32(1.5).reshape(())],
        [],
        [np.zeros((0, 4), np.float32), np.arange(8.0, dtype=np.float32).reshape(2, 4).T],
    ]
    stream.write(tmp_path / "s", given)
    got = stream.read(tmp_path / "s")
    assert [len(sample) for sample in got] == [2, 0, 2]
    for before, after in zip(given, got, strict=True):
        for one, other in zip(before, after, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    stream.write(path, [[np.arange(3, dtype=np.int64)], [np.ones((2, 2), np.float32)]])
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputRefused, match="truncated"):
            stream.read(path)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").write_bytes(MALFORMED[name])
    with pytest.raises(InputRefused):
        stream.read(tmp_path / "s")


def test_other_dtypes_are_refused_when_written(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="float64"):
        stream.write(tmp_path / "s", [[np.zeros(2)]])
