"""Run a ``.pte`` here with ExecuTorch's Python runtime: the one place here with torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime import Floats, Tensors
from edgekit.runtime.silence import native_silence


class _Session:
    def __init__(self, program: Any, method: Any, signature: Signature) -> None:
        # The program owns the memory that the method reads: both must live as long.
        self._program = program
        self._method = method
        self._signature = signature

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass."""
        import torch

        tensors = [
            torch.from_numpy(np.ascontiguousarray(inputs[spec.name]))
            for spec in self._signature.inputs
        ]
        outputs = self._method.execute(tensors)
        # A copy: the runtime reuses its output memory on the next call.
        return {
            spec.name: np.array(output.numpy(), dtype=np.float32)
            for spec, output in zip(self._signature.outputs, outputs, strict=True)
        }

    def close(self) -> None:
        """Release the method before its program."""
        self._method = self._program = None


def open_session(path: Path, signature: Signature, name: str = "forward") -> _Session:
    """Load the method ``name`` of a ``.pte``.

    Raises:
        InternalError: the runtime refused the program.
    """
    try:
        # On a PC the library complains that no phone's files are there.
        with native_silence(2):
            import executorch.kernels.quantized  # noqa: F401  registers the int8 table lookup
            from executorch.runtime import Runtime

            program = Runtime.get().load_program(path)
            method = program.load_method(name)
    except RuntimeError as error:
        raise InternalError(f"ExecuTorch cannot load {path.name}: {error}") from error
    if method is None:
        raise InternalError(f"{path.name} has no method called {name}")
    return _Session(program, method, signature)
