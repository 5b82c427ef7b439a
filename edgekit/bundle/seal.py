"""Seal a finished folder: hash every file and write the manifest that lists them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.contents import listing_problems, scan
from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.manifest import MANIFEST_NAME, FileEntry, Manifest
from edgekit.bundle.paths import safe_name
from edgekit.errors import InternalError


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``edgekit.json`` over everything else that lies in the folder.

    Args:
        folder: a staging folder, complete but for the manifest.
        manifest: what the bundle is, with ``files`` empty.

    Returns:
        The manifest as written, with ``files`` and ``seal``.

    Raises:
        UnsafeInput: a file has a name that a manifest may not hold.
        InternalError: the folder holds links or empty folders, or lacks a file that it must have.
        OSError: a file cannot be read, or the manifest cannot be written.
    """
    found = scan(folder)
    files = tuple(
        FileEntry(path=safe_name(path), bytes=size, sha256=sha256_file(folder / path))
        for path, size in sorted(found.files.items())
    )
    listed = manifest.model_copy(update={"files": files, "seal": None})
    problems = [f"{path!r} is {what}" for path, what in sorted(found.strange.items())]
    problems += listing_problems(listed)
    if problems:
        raise InternalError(f"cannot seal {folder}: {'; '.join(problems)}")
    data = listed.model_dump(mode="json")
    sealed = listed.model_copy(update={"seal": seal_digest(data)})
    (folder / MANIFEST_NAME).write_bytes(dump_bytes(sealed.model_dump(mode="json")))
    return sealed


def seal_digest(data: dict[str, Any]) -> str:
    """The digest that a manifest's ``seal`` must hold, from its JSON object."""
    rest = {key: value for key, value in data.items() if key != "seal"}
    return hashlib.sha256(dump_bytes(rest)).hexdigest()
