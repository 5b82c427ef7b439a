"""What answers, loaded: a session of this process, or the arm64 kernels under emulation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.runtime import Floats, Session, batches, open_artifact
from edgekit.runtime.encode import Inputs

# Outputs, and the seconds of the model alone; None where its time says nothing.
Answers = tuple[list[Floats], float | None]
# An emulated processor starts anew for each batch.
_TOGETHER = 256


class Engine(Protocol):
    """What answers, loaded.

    Attributes:
        together: rows that are best asked in one call.
    """

    together: int

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """One output for each of the inputs."""

    def close(self) -> None:
        """Release the native resources."""


class SessionEngine:
    """A session of this process: one row at a time, or as many as its artifact takes."""

    def __init__(self, session: Session, manifest: Manifest) -> None:
        """Wrap a loaded artifact."""
        self._session, self._signature = session, manifest.signature
        self._pad_id = manifest.tokenizer.filler
        self.together = batches.at_a_time(manifest.signature)

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """A forward pass for each, or for several of them."""
        began = time.perf_counter()
        found = batches.answers(self._passes, batch, self._signature, self._pad_id)
        return found, time.perf_counter() - began

    def _passes(self, given: Sequence[Inputs]) -> list[Floats]:
        name = self._signature.outputs[0].name
        return [self._session.run(one)[name] for one in given]

    def close(self) -> None:
        """Release the session."""
        self._session.close()


class EmulatedEngine:
    """The arm64 kernels under qemu; its time says nothing."""

    together = _TOGETHER

    def __init__(self, folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> None:
        """Check that runner and emulator are there.

        Raises:
            Unavailable: they are not.
        """
        from edgekit.runtime import arm64

        arm64.ensure_available(runtime=artifact.runtime)
        self._path, self._runtime = folder / artifact.file, artifact.runtime
        self._signature = manifest.signature
        self._pad_id = manifest.tokenizer.filler

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """All of a batch in one process of the runner."""
        return batches.answers(self._replayed, batch, self._signature, self._pad_id), None

    def _replayed(self, given: Sequence[Inputs]) -> list[Floats]:
        from edgekit.runtime import arm64

        name = self._signature.outputs[0].name
        found = arm64.replay(self._path, self._signature, given, runtime=self._runtime)
        return [outputs[name] for outputs in found]

    def close(self) -> None:
        """Nothing is held."""


def clocked(answer: Callable[[Inputs], Floats], batch: Sequence[Inputs]) -> Answers:
    """One answer after the other, and the seconds that they took."""
    began = time.perf_counter()
    found = [answer(one) for one in batch]
    return found, time.perf_counter() - began


def of_artifact(folder: Path, manifest: Manifest, runtime: str, threads: int = 0) -> SessionEngine:
    """An artifact of this process.

    Raises:
        Unavailable: its runtime is not installed.
        InternalError: the runtime refused the file.
    """
    session = open_artifact(folder, manifest, runtime, threads=threads)
    return SessionEngine(session, manifest)
