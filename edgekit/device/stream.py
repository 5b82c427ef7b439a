"""The tensor stream that the native runner reads and writes; ``native/stream.h`` is its twin.

Little-endian. Header: ``EKTENSOR``, u32 version, u32 samples. Sample: u32 tensors. Tensor: u32
dtype (1 float32, 2 int64), u32 rank, u64 dims, then the elements in row-major order. A stream that
comes back from a device is as untrusted as any other input: every size is held against a bound and
against the bytes that are left before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputRefused

MAGIC = b"EKTENSOR"
VERSION = 1
MOST_SAMPLES = 1 << 20
MOST_TENSORS = 64
MOST_DIMS = 8
MOST_BYTES = 1 << 30

_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("<i8")}
_CODES: dict[np.dtype[Any], int] = {np.dtype("float32"): 1, np.dtype("int64"): 2}


def write(path: Path, samples: Sequence[Sequence[NDArray[Any]]]) -> None:
    """Write samples (each a list of tensors in call order) to ``path``.

    Raises:
        InputRefused: a tensor is neither float32 nor int64, or over the format's bounds.
        OSError: the file cannot be written.
    """
    _within(len(samples), MOST_SAMPLES, "sample count")
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<II", VERSION, len(samples)))
        for sample in samples:
            _within(len(sample), MOST_TENSORS, "tensor count")
            file.write(struct.pack("<I", len(sample)))
            for tensor in sample:
                file.write(_encoded(tensor))


def read(path: Path) -> list[list[NDArray[Any]]]:
    """Read a whole stream: one list of tensors a sample.

    Raises:
        InputRefused: the file is not a well-formed stream.
        OSError: the file cannot be read.
    """
    reader = _Reader(path.read_bytes())
    if reader.take(len(MAGIC)) != MAGIC:
        raise InputRefused("not a tensor stream (wrong magic)")
    if (version := reader.number("I")) != VERSION:
        raise InputRefused(f"tensor stream version {version}, want {VERSION}")
    count = _within(reader.number("I"), MOST_SAMPLES, "sample count")
    samples = []
    for _ in range(count):
        tensors = _within(reader.number("I"), MOST_TENSORS, "tensor count")
        samples.append([_decoded(reader) for _ in range(tensors)])
    if reader.left:
        raise InputRefused(f"{reader.left} bytes after the last sample of the tensor stream")
    return samples


class _Reader:
    """Walks over bytes and never past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.left = len(data)

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise InputRefused(f"tensor stream truncated: {count} bytes wanted, {self.left} left")
        begin = len(self.data) - self.left
        self.left -= count
        return self.data[begin : begin + count]

    def number(self, kind: str) -> int:
        layout = "<" + kind
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value


def _encoded(tensor: NDArray[Any]) -> bytes:
    code = _CODES.get(tensor.dtype)
    if code is None:
        raise InputRefused(f"a tensor is {tensor.dtype}; the runner takes float32 and int64")
    _within(tensor.ndim, MOST_DIMS, "rank")
    _within(tensor.nbytes, MOST_BYTES, "tensor size in bytes")
    head = struct.pack(f"<II{tensor.ndim}Q", code, tensor.ndim, *tensor.shape)
    return head + tensor.astype(_DTYPES[code], copy=False).tobytes()


def _decoded(reader: _Reader) -> NDArray[Any]:
    code = reader.number("I")
    if code not in _DTYPES:
        raise InputRefused(f"unknown dtype {code} in the tensor stream")
    dtype = _DTYPES[code]
    rank = _within(reader.number("I"), MOST_DIMS, "rank")
    dims = [_within(reader.number("Q"), MOST_BYTES, "dimension") for _ in range(rank)]
    size = dtype.itemsize
    for dim in dims:
        size = _within(size * dim, MOST_BYTES, "tensor size in bytes")
    # A copy, so that one tensor does not keep the whole stream in memory.
    return np.frombuffer(reader.take(size), dtype).reshape(dims).astype(dtype.newbyteorder("="))


def _within(value: int, most: int, what: str) -> int:
    if value > most:
        raise InputRefused(f"{what} {value} is over the tensor stream's limit of {most}")
    return value
