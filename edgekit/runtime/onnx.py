"""Run an ``.onnx`` here with ONNX Runtime on the CPU."""

from __future__ import annotations

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


def open_session(path: Path, signature: Signature) -> _Session:
    """Load an ``.onnx`` by path, so that its weights are never held twice.

    Raises:
        InternalError: the runtime refused the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise InternalError(f"ONNX Runtime cannot load {path.name}: {error}") from error
    return _Session(session, signature)
