"""The figures of a job: after each stage, and of each artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.bundle.read import load_manifest
from edgekit_converters.compress.fidelity import Reference
from edgekit_converters.compress.recipe import Stage
from edgekit_converters.folder import check
from edgekit_converters.prune.measures import parameters
from edgekit_converters.prune.subject import Subject
from edgekit_converters.quantize import record

ORIGINAL = "original"


def original(model: Subject, folder: Path, reference: Reference) -> dict[str, Any]:
    """The first line: the model as it came."""
    return {
        "after": ORIGINAL,
        "parameters": parameters(model.model)["parameters"],
        "bytes": _file_bytes(folder),
        **reference.of_original(),
    }


def line(
    stage: Stage, folder: Path, reference: Reference, max_length: int | None
) -> dict[str, Any]:
    """A line after a stage.

    A plan of bits leaves the folder's weights as they are: its bytes are those that it forecasts,
    and what it costs is measured in the artifact.
    """
    found = {"after": f"{stage.number} {stage.kind}", "parameters": _parameters(folder)}
    if record.present(folder):
        opened = record.opened(folder)
        assert opened is not None
        return {**found, "bytes": opened.plan.facts.forecast_bytes}
    return {
        **found,
        "bytes": _file_bytes(folder),
        **reference.of_folder(folder, max_length),
    }


def artifacts(bundle: Path, base: Path, reference: Reference) -> list[dict[str, Any]]:
    """A line for each artifact of a bundle.

    Args:
        bundle: the result.
        base: the bundle of the original in fp32, with the same runtimes.
        reference: the original's answers.
    """
    manifest = load_manifest(bundle)
    whole = {artifact.runtime: artifact.bytes for artifact in load_manifest(base).artifacts}
    lines = []
    for artifact in manifest.artifacts:
        hops = [hop for hop in manifest.quality if hop.artifact == artifact.file]
        lines.append(
            {
                "artifact": artifact.file,
                "scheme": artifact.scheme,
                "bytes": artifact.bytes,
                "fp32 bytes of the original": whole[artifact.runtime],
                "share": artifact.bytes / whole[artifact.runtime],
                "worst cosine": min((hop.worst_cosine for hop in hops), default=None),
                "mean cosine": min((hop.mean_cosine for hop in hops), default=None),
                **(reference.of_artifact(bundle, artifact.runtime) or {}),
            }
        )
    return lines


def _parameters(folder: Path) -> int:
    """Numbers in a folder's weight files."""
    total = 0
    for info in check(folder).tensors.values():
        count = 1
        for size in info.shape:
            count *= size
        total += count
    return total


def _file_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in check(folder).weight_files)
