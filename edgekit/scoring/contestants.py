"""Who is scored: a name, a tokenizer, and a way to open what answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.errors import SpecError
from edgekit.runtime.encode import Encoder
from edgekit.scoring import engines
from edgekit.scoring.engines import EmulatedEngine, Engine
from edgekit.scoring.workers import WorkerEngine

HERE = ("executorch", "onnx")
EAGER = "eager"
# Places that ask each artifact of a bundle.
ARM64, DEVICE = "arm64", "device"


@dataclass(frozen=True)
class Contestant:
    """Who is scored.

    Attributes:
        name: unique in its table.
        model: which bundle or model, as it was named.
        runtime: ``eager``, ``executorch``, ``onnx``; ``arm64 ...`` and ``device ...`` with the
            artifact's after it.
        task: its task.
        problem: transformers' problem_type of a classifier.
        encoder: tokenizer and signature.
        identity: a digest of what answers: an equal one gives equal answers.
        tokenizer: a digest of the tokenizer.
        open: loads it.
        open_worker: loads it for one of several workers, each on one thread; None where there can
            be one only.
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
    open_worker: Callable[[], Engine] | None = None
    bytes: int | None = None
    scheme: str = "fp32"
    details: dict[str, Any] = field(default_factory=dict)


def of_bundle(
    folder: Path, manifest: Manifest, runtimes: Sequence[str], serial: str | None = None
) -> list[Contestant]:
    """The artifacts of a bundle whose files have been checked.

    Args:
        folder: the bundle.
        manifest: its manifest.
        runtimes: ``executorch``, ``onnx``, ``arm64`` (each artifact under emulation), ``device``
            (each on a phone); all that run here when empty.
        serial: which phone; ANDROID_SERIAL, or the only one, when None.

    Raises:
        SpecError: the bundle has no such artifact.
        BundleCorrupt: its tokenizer cannot be read.
        EdgekitError: no phone, and what else ``on_device.choose`` raises.
    """
    from edgekit.bundle.hashing import sha256_file

    wanted = runtimes or [a.runtime for a in manifest.artifacts if a.runtime in HERE]
    encoder = Encoder(folder, manifest)
    tokenizer = sha256_file(folder / manifest.tokenizer.file)
    label = folder.absolute().name
    return [
        Contestant(
            name=f"{label} {one.words}",
            model=label,
            runtime=one.words,
            task=manifest.task,
            problem=manifest.problem,
            encoder=encoder,
            identity=f"{manifest.seal} {one.identity}",
            tokenizer=tokenizer,
            open=one.open,
            open_worker=one.open_worker,
            bytes=one.artifact.bytes,
            scheme=one.artifact.scheme,
            details={**_details(manifest, one.artifact), **one.details},
        )
        for runtime in wanted
        for one in _asked(folder, manifest, runtime, serial)
    ]


@dataclass(frozen=True)
class _Place:
    """Where an artifact is asked, and by what."""

    artifact: ArtifactInfo
    words: str
    identity: str
    open: Callable[[], Engine]
    open_worker: Callable[[], Engine] | None = None
    details: dict[str, Any] = field(default_factory=dict)


def _asked(folder: Path, manifest: Manifest, runtime: str, serial: str | None) -> list[_Place]:
    """The artifacts that are meant by one runtime's or place's name."""
    elsewhere = runtime in (ARM64, DEVICE)
    artifacts = [a for a in manifest.artifacts if elsewhere or a.runtime == runtime]
    if not artifacts:
        have = ", ".join(artifact.runtime for artifact in manifest.artifacts)
        raise SpecError(
            f"{folder.absolute().name} has no {runtime} artifact", hint=f"It has: {have}."
        )
    if runtime == ARM64:
        return [
            _Place(a, words, words, partial(EmulatedEngine, folder, manifest, a))
            for a in artifacts
            for words in [f"{ARM64} {a.runtime}"]
        ]
    if runtime == DEVICE:
        from edgekit.scoring import on_device

        phone = on_device.choose(artifacts, serial)
        return [
            _Place(
                a,
                f"{DEVICE} {a.runtime}",
                f"{DEVICE} {a.runtime} {phone.build}",
                on_device.opener(folder, manifest, a, phone),
                details={"phone": phone.facts},
            )
            for a in artifacts
        ]
    return [
        _Place(
            a,
            runtime,
            runtime,
            partial(engines.of_artifact, folder, manifest, runtime),
            # Workers are for artifacts of one text a pass.
            partial(WorkerEngine, folder, runtime) if manifest.signature.texts == 1 else None,
        )
        for a in artifacts
    ]


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
