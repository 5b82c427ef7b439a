"""Run a bundle's artifacts here, one runtime a file; each gives ``open_session``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Manifest, Signature
from edgekit.errors import SpecError, Unavailable

Tensors = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]

RUNTIMES = ("executorch", "onnx")


class Session(Protocol):
    """A loaded artifact."""

    def run(self, inputs: Tensors) -> dict[str, Floats]:
        """One forward pass: named inputs to named outputs, shapes as in the signature."""

    def close(self) -> None:
        """Release the native resources."""


class RuntimeModule(Protocol):
    """What each runtime's file gives."""

    def open_session(self, path: Path, signature: Signature, *, threads: int = 0) -> Session:
        """Load one artifact; 0 leaves the number of threads to the runtime."""


def load_runtime(name: str) -> RuntimeModule:
    """The module of a runtime.

    Raises:
        SpecError: no runtime of that name.
    """
    if name not in RUNTIMES:
        raise SpecError(f"unknown runtime {name!r}", hint=f"Runtimes: {', '.join(RUNTIMES)}.")
    return cast(RuntimeModule, importlib.import_module(f"{__name__}.{name}"))


def open_artifact(
    folder: Path, manifest: Manifest, runtime: str | None = None, *, threads: int = 0
) -> Session:
    """Load one of a bundle's artifacts in this process. Check the bundle's files first.

    One that was made for a batch takes single texts as well; see ``edgekit.runtime.batches``.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtime: which artifact; None for the first whose runtime is installed.
        threads: of the runtime, in all of this process; 0 leaves the number to it.

    Raises:
        SpecError: the bundle has no artifact for ``runtime``.
        Unavailable: the runtime is not installed.
        InternalError: the runtime refused the file.
    """
    files = {artifact.runtime: artifact.file for artifact in manifest.artifacts}
    if runtime is not None and runtime not in files:
        raise SpecError(
            f"the bundle has no {runtime} artifact", hint=f"It has: {', '.join(files)}."
        )
    missing: list[str] = []
    for name in [runtime] if runtime else list(files):
        try:
            opened = load_runtime(name).open_session(
                folder / files[name], manifest.signature, threads=threads
            )
        except ImportError as error:
            missing.append(f"{name} ({error.name or error})")
            continue
        return _taking_one(opened, manifest)
    extra = runtime or next(iter(files))
    raise Unavailable(
        f"not installed: {', '.join(missing)}", hint=f"pip install 'edgekit[{extra}]'"
    )


def _taking_one(session: Session, manifest: Manifest) -> Session:
    from edgekit.runtime import batches

    if manifest.signature.texts == 1:
        return session
    return batches.FilledSession(session, manifest.signature, manifest.tokenizer.filler)
