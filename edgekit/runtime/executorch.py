"""Run a ``.pte`` here: by edgekit's own library, else by ExecuTorch's Python extension.

The library needs a compiler once and nothing afterwards; the extension brings torch into the
process, 700 MB and seconds of it. Answers are the same. This is the one place here with torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime import Floats, Session, Tensors, executorch_native
from edgekit.runtime.silence import native_silence


class _Session:
    def __init__(self, program: Any, method: Any, signature: Signature) -> None:
        # The program owns the memory that the method reads: both must live as long.
        self._program = program
        self._method = method
        self._signature = signature

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass.

        Raises:
            RuntimeError: the runtime refused the inputs or failed.
        """
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


def open_session(
    path: Path,
    signature: Signature,
    name: str = "forward",
    operators: Callable[[], None] | None = None,
    *,
    threads: int = 0,
) -> Session:
    """Load the method ``name`` of a ``.pte``.

    Args:
        path: the program.
        signature: what the method takes and gives.
        name: of the method.
        operators: what must be called first where the extension is used.
        threads: of all models of the process; 0 leaves the number to the runtime, as the extension
            always does.

    Raises:
        ImportError: there is neither the library nor ExecuTorch's extension.
        InternalError: the runtime refused the program.
    """
    if executorch_native.lack() is None:
        return executorch_native.open_session(path, signature, name, threads)
    if operators is not None:
        operators()
    return open_by_extension(path, signature, name)


def open_by_extension(path: Path, signature: Signature, name: str = "forward") -> Session:
    """Load a method by ExecuTorch's Python extension, whatever else there is.

    Raises:
        ImportError: it is not installed.
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
