"""Run an ``.onnx`` here with ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime import Floats, Tensors

# ONNX Runtime's severity scale: 3 is errors only.
_ERRORS_ONLY = 3


class _Session:
    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self._inputs = [spec.name for spec in signature.inputs]
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass."""
        results = self._session.run(self._outputs, {name: inputs[name] for name in self._inputs})
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Release the session."""
        self._session = None


def library() -> Any:
    """The package ``onnxruntime``; everything here imports it through this.

    Its official builds report usage over the network, and write a device id, from their import on.
    Who wants that sets ``ORT_DISABLE_TELEMETRY=0``.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def load(path: Path, *, threads: int = 0) -> Any:
    """An InferenceSession on the CPU, by path, so that weights are never held twice.

    Args:
        path: the model.
        threads: of one call; 0 leaves the number to the runtime.

    Raises:
        InternalError: the runtime refused the model.
    """
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InternalError(f"ONNX Runtime cannot load {path.name}: {error}") from error


def open_session(path: Path, signature: Signature, *, threads: int = 0) -> _Session:
    """Load an ``.onnx``; 0 leaves the number of threads to the runtime.

    Raises:
        InternalError: the runtime refused the model.
    """
    return _Session(load(path, threads=threads), signature)
