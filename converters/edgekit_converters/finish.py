"""What every bundle ends with: the files that it carries, its card, its report, its seal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.seal import seal
from edgekit_converters import card
from edgekit_converters.job import Job

CARRIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "LICENSE")


def sealed(
    job: Job,
    folder: Path,
    manifest: Manifest,
    notes: tuple[str, ...],
    report: dict[str, object],
    carried: Sequence[str] = CARRIED,
) -> Manifest:
    """Complete and seal a folder that has its artifacts and goldens.

    Args:
        job: the export.
        folder: where the bundle is made.
        manifest: its files still to be listed.
        notes: lines for the card and the report.
        report: what goes into the report besides.
        carried: files of the model that go along, where it has them.
    """
    for name in carried:
        if (job.loaded.source.folder / name).is_file():
            shutil.copyfile(job.loaded.source.folder / name, folder / name)
    origin = "given with --samples" if job.samples_given else "edgekit's built-in sample file"
    (folder / "README.md").write_text(card.render(manifest, origin, notes), encoding="utf-8")
    measured = {
        "samples": {"count": len(job.texts), "origin": origin},
        "quality": [hop.model_dump(mode="json") for hop in manifest.quality],
        "artifacts": [artifact.model_dump(mode="json") for artifact in manifest.artifacts],
        "notes": list(notes),
        **report,
    }
    (folder / "report.json").write_bytes(dump_bytes(measured))
    return seal(folder, manifest)
