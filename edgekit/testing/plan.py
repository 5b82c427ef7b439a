"""What a test will ask of a place, all of it checked here before any place is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit.bundle import goldens
from edgekit.bundle.goldens import Golden
from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.errors import TextRefused
from edgekit.runtime.encode import Encoder
from edgekit.testing import labelled
from edgekit.testing.labelled import Example
from edgekit.verify import chosen, refuse_incomplete

# Examples at a time, so that neither this machine nor a phone holds the inputs of all.
BATCH = 1024
# What a stream adds to a tensor, about.
_TENSOR_HEAD = 64


@dataclass(frozen=True)
class Plan:
    """A bundle whose files match its manifest, and what is replayed from it.

    Attributes:
        folder: the bundle.
        manifest: its manifest.
        artifacts: what is to run, in the bundle's order.
        goldens: the bundle's samples.
        encoder: turns texts into inputs here; no text travels.
        examples: a labelled file's lines; empty without one.
        input_bytes: of the largest set of inputs that lies at a place at one time.
    """

    folder: Path
    manifest: Manifest
    artifacts: tuple[ArtifactInfo, ...]
    goldens: tuple[Golden, ...]
    encoder: Encoder
    examples: tuple[Example, ...]
    input_bytes: int


def prepare(folder: Path, runtimes: Sequence[str] | None = None, data: Path | None = None) -> Plan:
    """Check a bundle and read all that a test of it needs.

    Args:
        folder: the bundle.
        runtimes: artifacts to test; None for all.
        data: a labelled file, see ``labelled.read``.

    Raises:
        InputMissing, BundleCorrupt, BundleTooNew, UnsafeInput: the bundle is not what it should be.
        SpecError: it has no such artifact, or a labelled file does not fit its task.
        InputRefused: a line of the labelled file is refused; it is named.
    """
    manifest = load_manifest(folder)
    check_files(folder, manifest)
    artifacts = chosen(manifest, runtimes)
    samples = goldens.read(folder / manifest.goldens.file)
    refuse_incomplete(manifest, samples, artifacts)
    encoder = Encoder(folder, manifest)
    examples = labelled.read(data, manifest) if data is not None else []
    sizes, together = [], manifest.signature.texts
    for example in examples:
        try:
            # In company each may be padded to the longest: no pass takes more than this.
            sizes.append(together * _bytes(encoder.encode(example.text)))
        except TextRefused as refused:
            raise TextRefused(
                f"{data}, line {example.line}: {refused.message}", hint=refused.hint
            ) from None
    goldens_bytes = sum(_bytes(sample.inputs) for sample in samples)
    jobs = (sum(sizes[start : start + BATCH]) for start in range(0, len(sizes), BATCH))
    return Plan(
        folder=folder,
        manifest=manifest,
        artifacts=tuple(artifacts),
        goldens=tuple(samples),
        encoder=encoder,
        examples=tuple(examples),
        input_bytes=max(goldens_bytes, *jobs) if sizes else goldens_bytes,
    )


def _bytes(inputs: Mapping[str, NDArray[Any]]) -> int:
    return sum(tensor.nbytes + _TENSOR_HEAD for tensor in inputs.values())
