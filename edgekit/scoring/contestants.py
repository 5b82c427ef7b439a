"""Who is scored: a name, a tokenizer, and a way to open what answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.errors import SpecError
from edgekit.runtime import Floats, Session, open_artifact
from edgekit.runtime.encode import Encoder, Inputs

HERE = ("executorch", "onnx")
EAGER = "eager"
ARM64 = "arm64"
# An emulated processor starts anew for each batch.
_TOGETHER = 256


class Engine(Protocol):
    """What answers, loaded.

    Attributes:
        together: rows that are best asked in one call.
        timed: whether its time says anything of the model.
    """

    together: int
    timed: bool

    def run(self, batch: Sequence[Inputs]) -> list[Floats]:
        """One output for each of the inputs."""

    def close(self) -> None:
        """Release the native resources."""


@dataclass(frozen=True)
class Contestant:
    """Who is scored.

    Attributes:
        name: unique in its table.
        model: which bundle or model, as it was named.
        runtime: ``eager``, ``executorch``, ``onnx`` or ``arm64``.
        task: its task.
        problem: transformers' problem_type of a classifier.
        encoder: tokenizer and signature.
        identity: a digest of what answers: an equal one gives equal answers.
        tokenizer: a digest of the tokenizer.
        open: loads it.
        bytes: of the artifact's file; None where there is none.
        scheme: what was done to the weights.
        parity: hops of the ladder that its bundle was made with.
        details: more for a report.
    """

    name: str
    model: str
    runtime: str
    task: str
    problem: str | None
    encoder: Encoder
    identity: str
    tokenizer: str
    open: Callable[[], Engine]
    bytes: int | None = None
    scheme: str = "fp32"
    details: dict[str, Any] = field(default_factory=dict)


class SessionEngine:
    """A session of this machine, one row at a time."""

    together = 1
    timed = True

    def __init__(self, session: Session, output: str) -> None:
        """Wrap a loaded artifact; ``output`` is the name of what it gives."""
        self._session, self._output = session, output

    def run(self, batch: Sequence[Inputs]) -> list[Floats]:
        """One forward pass for each."""
        return [self._session.run(inputs)[self._output] for inputs in batch]

    def close(self) -> None:
        """Release the session."""
        self._session.close()


class EmulatedEngine:
    """The arm64 kernels under qemu; its time says nothing."""

    together = _TOGETHER
    timed = False

    def __init__(self, folder: Path, manifest: Manifest, artifact: ArtifactInfo) -> None:
        """Check that runner and emulator are there.

        Raises:
            Unavailable: they are not.
        """
        from edgekit.runtime import arm64

        arm64.ensure_available(runtime=artifact.runtime)
        self._path, self._runtime = folder / artifact.file, artifact.runtime
        self._signature = manifest.signature

    def run(self, batch: Sequence[Inputs]) -> list[Floats]:
        """All of a batch in one process of the runner."""
        from edgekit.runtime import arm64

        name = self._signature.outputs[0].name
        found = arm64.replay(self._path, self._signature, batch, runtime=self._runtime)
        return [outputs[name] for outputs in found]

    def close(self) -> None:
        """Nothing is held."""


def of_bundle(folder: Path, manifest: Manifest, runtimes: Sequence[str]) -> list[Contestant]:
    """The artifacts of a bundle whose files have been checked.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtimes: ``executorch``, ``onnx``, ``arm64`` (each artifact under emulation); all that run
            here when empty.

    Raises:
        SpecError: the bundle has no such artifact.
        BundleCorrupt: its tokenizer cannot be read.
    """
    from edgekit.bundle.hashing import sha256_file

    wanted = runtimes or [a.runtime for a in manifest.artifacts if a.runtime in HERE]
    encoder = Encoder(folder, manifest)
    tokenizer = sha256_file(folder / manifest.tokenizer.file)
    label = folder.absolute().name
    found = []
    for runtime in wanted:
        emulated = runtime == ARM64
        artifacts = [a for a in manifest.artifacts if emulated or a.runtime == runtime]
        if not artifacts:
            have = ", ".join(artifact.runtime for artifact in manifest.artifacts)
            raise SpecError(f"{label} has no {runtime} artifact", hint=f"It has: {have}.")
        for artifact in artifacts:
            place = f"{ARM64} {artifact.runtime}" if emulated else runtime
            found.append(
                Contestant(
                    name=f"{label} {place}",
                    model=label,
                    runtime=place,
                    task=manifest.task,
                    problem=manifest.problem,
                    encoder=encoder,
                    identity=f"{manifest.seal} {place}",
                    tokenizer=tokenizer,
                    open=partial(_open, folder, manifest, artifact, emulated),
                    bytes=artifact.bytes,
                    scheme=artifact.scheme,
                    details=_details(manifest, artifact),
                )
            )
    return found


def named_apart(contestants: Sequence[Contestant]) -> list[Contestant]:
    """The same with unique names: what is named twice gets a number.

    Raises:
        SpecError: the very same is asked for twice.
    """
    from dataclasses import replace

    if len({one.identity for one in contestants}) < len(contestants):
        raise SpecError("the same artifact is named twice", hint="Name each once.")
    names = [one.name for one in contestants]
    counted = [names[: at + 1].count(name) for at, name in enumerate(names)]
    return [
        replace(one, name=f"{one.name} ({number})") if names.count(one.name) > 1 else one
        for one, number in zip(contestants, counted, strict=True)
    ]


def run_timed(engine: Engine, batch: Sequence[Inputs]) -> tuple[list[Floats], float]:
    """Outputs, and the seconds that they took."""
    began = time.perf_counter()
    found = engine.run(batch)
    return found, time.perf_counter() - began


def _open(folder: Path, manifest: Manifest, artifact: ArtifactInfo, emulated: bool) -> Engine:
    if emulated:
        return EmulatedEngine(folder, manifest, artifact)
    session = open_artifact(folder, manifest, artifact.runtime)
    return SessionEngine(session, manifest.signature.outputs[0].name)


def _details(manifest: Manifest, artifact: ArtifactInfo) -> dict[str, Any]:
    """What a report says of an artifact besides its scores."""
    return {
        "bundle": manifest.name,
        "file": artifact.file,
        "fp32_bytes": artifact.fp32_bytes,
        "delegate": artifact.delegate,
        "planned_memory": artifact.planned_memory,
        "base_model": manifest.base_model.id,
        "max_length": manifest.limits.max_length,
    }
