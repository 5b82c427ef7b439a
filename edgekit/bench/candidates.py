"""Bundles to artifacts under test: checked, named apart, with the memory that they should take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edgekit.bench.forecast import forecast
from edgekit.bench.record import Candidate
from edgekit.bundle.goldens import Golden, read
from edgekit.bundle.manifest import Manifest
from edgekit.bundle.read import check_files, load_manifest
from edgekit.device.job import Runtime
from edgekit.errors import BundleCorrupt, SpecError

_LONGEST_NAME = 40


@dataclass(frozen=True)
class Entry:
    """One artifact under test with what is needed to run it."""

    candidate: Candidate
    path: Path
    manifest: Manifest
    goldens: list[Golden]

    @property
    def stored_as(self) -> str:
        """Its name in a working folder; the same bytes have the same name."""
        return f"{self.candidate.sha256[:16]}{self.path.suffix}"


def open_bundles(folders: Sequence[Path], runtimes: Sequence[str] | None = None) -> list[Entry]:
    """The artifacts of some bundles, bundle by bundle; every file is checked first.

    Args:
        folders: the bundles; one may be named twice, to compare it with itself.
        runtimes: which artifacts; all unless given.

    Raises:
        InputMissing, BundleCorrupt, BundleTooNew, UnsafeInput: a bundle is not what it should be.
        SpecError: an artifact was asked for that a bundle does not have.
    """
    entries: list[Entry] = []
    names: list[str] = []
    for ordinal, folder in enumerate(folders):
        manifest = load_manifest(folder)
        check_files(folder, manifest)
        goldens = read(folder / manifest.goldens.file)
        if not goldens:
            raise BundleCorrupt(f"{folder} has no goldens to take inputs from")
        name = manifest.name[:_LONGEST_NAME]
        names.append(name)
        if (times := names.count(name)) > 1:
            name = f"{name}#{times}"
        for runtime in _chosen(manifest, runtimes, folder):
            prefix = f"{name}/" if len(folders) > 1 else ""
            entries.append(_entry(folder, manifest, goldens, runtime, prefix, name, ordinal))
    return entries


def _chosen(manifest: Manifest, asked: Sequence[str] | None, folder: Path) -> list[Runtime]:
    have = [info.runtime for info in manifest.artifacts]
    for name in asked or ():
        if name not in have:
            raise SpecError(f"{folder} has no {name} artifact", hint=f"It has: {', '.join(have)}.")
    return [name for name in get_args(Runtime) if name in (asked or have) and name in have]


def _entry(
    folder: Path,
    manifest: Manifest,
    goldens: list[Golden],
    runtime: Runtime,
    prefix: str,
    bundle: str,
    ordinal: int,
) -> Entry:
    info = next(item for item in manifest.artifacts if item.runtime == runtime)
    entry = next(item for item in manifest.files if item.path == info.file)
    candidate = Candidate(
        id=f"{prefix}{info.file}",
        bundle=bundle,
        bundle_digest=manifest.seal or "",
        ordinal=ordinal,
        runtime=runtime,
        file=info.file,
        sha256=entry.sha256,
        bytes=info.bytes,
        scheme=info.scheme,
        delegate=info.delegate,
        planned_memory=info.planned_memory,
        forecast_bytes=forecast(manifest, info).total,
        context=manifest.generation.context if manifest.generation else None,
        texts=manifest.signature.texts,
    )
    return Entry(candidate, folder / info.file, manifest, goldens)
