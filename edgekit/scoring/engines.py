"""What answers, loaded: a session of this process, or the arm64 kernels under emulation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.runtime import Floats, Session, batches, open_artifact
from edgekit.runtime.encode import Inputs

# Outputs, and the seconds of the model alone for each; None where its time says nothing.
Answers = tuple[list[Floats], list[float] | None]
# An emulated processor starts anew for each batch.
_TOGETHER = 256
# Rows that are read before any is answered: a pass sends all weights through the caches, so that
# reading a row after each would begin with cold ones. Outputs are held: where they are large, of a
# whole vocabulary a token, rows are asked one by one.
_ROWS, _HELD_BYTES = 16, 16 * 2**20


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
    """A session of this process: a pass for each row, or for as many as its artifact takes."""

    def __init__(self, session: Session, manifest: Manifest) -> None:
        """Wrap a loaded artifact."""
        self._session, self._signature = session, manifest.signature
        self._pad_id = manifest.tokenizer.filler
        self._batched = manifest.signature.texts > 1
        self.together = batches.at_a_time(manifest.signature) if self._batched else self._rows()

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """A forward pass for each, or for several of them, whose time is shared out."""
        if not self._batched:
            return clocked(self._pass, batch)
        began = time.perf_counter()
        found = batches.answers(self._passes, batch, self._signature, self._pad_id)
        return found, [(time.perf_counter() - began) / len(batch)] * len(batch)

    def _rows(self) -> int:
        most = 4 * math.prod(dim.maximum for dim in self._signature.outputs[0].dims)
        return max(1, min(_ROWS, _HELD_BYTES // most))

    def _passes(self, given: Sequence[Inputs]) -> list[Floats]:
        return [self._pass(one) for one in given]

    def _pass(self, one: Inputs) -> Floats:
        return self._session.run(one)[self._signature.outputs[0].name]

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
    """One answer after the other, and the seconds that each took."""
    found, seconds = [], []
    for one in batch:
        began = time.perf_counter()
        found.append(answer(one))
        seconds.append(time.perf_counter() - began)
    return found, seconds


def of_artifact(folder: Path, manifest: Manifest, runtime: str, threads: int = 0) -> SessionEngine:
    """An artifact of this process.

    Raises:
        Unavailable: its runtime is not installed.
        InternalError: the runtime refused the file.
    """
    session = open_artifact(folder, manifest, runtime, threads=threads)
    return SessionEngine(session, manifest)
