"""Run a ``.pte`` here by edgekit's own library (``edgekit.device.library``): no torch, no imports.

The C interface is ``edgekit/device/native/library.h``.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import EdgekitError, InternalError, Unavailable
from edgekit.runtime import Floats, Tensors
from edgekit.runtime.silence import native_silence

_VERSION = 1
_MOST_DIMS = 8
_DTYPES: tuple[type[np.generic], ...] = (np.float32, np.int64)
# A tensor of more is no answer of a model that runs on a phone.
_MOST_BYTES = 1 << 32


class _Tensor(ctypes.Structure):
    """``edgekit_tensor``."""

    _fields_ = (
        ("dtype", ctypes.c_int32),
        ("dims", ctypes.c_int32),
        ("sizes", ctypes.c_int64 * _MOST_DIMS),
        ("data", ctypes.c_void_p),
    )


@cache
def library() -> ctypes.CDLL:
    """The library, built if it must be and can be.

    Raises:
        EdgekitError: there is none and it cannot be built here, or it cannot be loaded.
    """
    from edgekit.device import library as native

    path = native.find() or native.build()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(
            f"{path.name} cannot be loaded: {error}", hint=f"To build it again: rm -r {path.parent}"
        ) from error
    pointer, number, into = ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(_Tensor)
    for name, result, arguments in (
        ("version", number, ()),
        ("error", ctypes.c_char_p, ()),
        ("open", pointer, (ctypes.c_char_p, ctypes.c_char_p, number)),
        ("inputs", number, (pointer,)),
        ("outputs", number, (pointer,)),
        ("input", ctypes.c_int, (pointer, number, into)),
        ("output", ctypes.c_int, (pointer, number, into)),
        ("run", ctypes.c_int, (pointer, into, number)),
        ("answer", ctypes.c_int, (pointer, number, into)),
        ("close", None, (pointer,)),
    ):
        function = getattr(loaded, f"edgekit_{name}")
        function.restype, function.argtypes = result, arguments
    if loaded.edgekit_version() != _VERSION:
        raise InternalError(f"{path.name} is of another version than edgekit")
    return loaded


@cache
def lack() -> EdgekitError | None:
    """Why the library cannot be had here, looked for once a process; None when it is loaded."""
    try:
        library()
    except EdgekitError as error:
        return error
    return None


class _Session:
    def __init__(self, handle: int, signature: Signature) -> None:
        self._handle: int | None = handle
        self._signature = signature
        # A model serves one call at a time, and is not released during one.
        self._lock = Lock()

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass.

        Raises:
            RuntimeError: the runtime refused the inputs or failed.
        """
        native = library()
        arrays = [
            np.ascontiguousarray(inputs[spec.name], dtype=spec.dtype)
            for spec in self._signature.inputs
        ]
        given = (_Tensor * len(arrays))(*map(_given, arrays))
        with self._lock:
            if self._handle is None:
                raise RuntimeError("the model is closed")
            if not native.edgekit_run(self._handle, given, len(arrays)):
                raise RuntimeError(_complaint(native))
            return {
                spec.name: self._answer(index) for index, spec in enumerate(self._signature.outputs)
            }

    def _answer(self, index: int) -> Floats:
        native, found = library(), _Tensor()
        if not native.edgekit_answer(self._handle, index, found):
            raise RuntimeError(_complaint(native))
        sizes = tuple(found.sizes[: found.dims])
        dtype = np.dtype(_DTYPES[found.dtype])
        size = dtype.itemsize * int(np.prod(sizes, dtype=np.float64))
        if size > _MOST_BYTES:
            raise RuntimeError(f"answer {index} has {size} bytes")
        # A copy: the runtime reuses its output memory on the next call.
        data = ctypes.string_at(found.data, size) if size else b""
        return np.frombuffer(data, dtype).reshape(sizes).astype(np.float32)

    def close(self) -> None:
        """Release the model."""
        with self._lock:
            if self._handle is not None:
                library().edgekit_close(self._handle)
            self._handle = None


def open_session(
    path: Path, signature: Signature, name: str = "forward", threads: int = 0
) -> _Session:
    """Load the method ``name`` of a ``.pte``.

    Args:
        path: the program.
        signature: what it takes and gives, held against what the program declares.
        name: of the method.
        threads: of all models of the process; 0 leaves the number to the runtime.

    Raises:
        EdgekitError: the library cannot be had here.
        InternalError: the runtime refused the program, or it is not of this signature.
    """
    native = library()
    # On a PC the library complains that no phone's files are there.
    with native_silence(2):
        handle = native.edgekit_open(os.fsencode(path), name.encode(), threads)
    if not handle:
        raise InternalError(f"ExecuTorch cannot load {path.name}: {_complaint(native)}")
    session = _Session(handle, signature)
    try:
        _check(native, handle, signature)
    except RuntimeError as error:
        session.close()
        raise InternalError(f"{path.name} is not what its manifest says: {error}") from error
    return session


def _check(native: ctypes.CDLL, handle: int, signature: Signature) -> None:
    """Refuse a program that takes or gives other tensors than the signature says."""
    for kind, specs, count, look in (
        ("inputs", signature.inputs, native.edgekit_inputs, native.edgekit_input),
        ("outputs", signature.outputs, native.edgekit_outputs, native.edgekit_output),
    ):
        if count(handle) != len(specs):
            raise RuntimeError(f"it has {count(handle)} {kind}, {len(specs)} were expected")
        for index, spec in enumerate(specs):
            found = _Tensor()
            if not look(handle, index, found):
                raise RuntimeError(_complaint(native))
            if (
                found.dims != len(spec.dims)
                or _DTYPES[found.dtype] is not np.dtype(spec.dtype).type
            ):
                raise RuntimeError(f"{spec.name} is of another dtype or rank")


def _given(array: NDArray[Any]) -> _Tensor:
    if array.ndim > _MOST_DIMS:
        raise RuntimeError(f"a tensor of {array.ndim} dimensions")
    sizes = (ctypes.c_int64 * _MOST_DIMS)(*array.shape)
    dtype = _DTYPES.index(array.dtype.type)
    # The caller keeps the array: a pointer holds nothing.
    return _Tensor(dtype, array.ndim, sizes, array.ctypes.data)


def _complaint(native: ctypes.CDLL) -> str:
    found: bytes = native.edgekit_error()
    return found.decode("utf-8", "replace")
