"""What lies in a bundle folder and what its manifest says lies there, without opening a file."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.bundle.manifest import MANIFEST_NAME, Manifest
from edgekit.bundle.paths import safe_name
from edgekit.errors import UnsafeInput


@dataclass
class Contents:
    """A folder's entries below its top, by path with ``/``, the manifest left out.

    Attributes:
        files: regular files and their sizes in bytes.
        strange: everything else that must not be there, with what it is.
    """

    files: dict[str, int] = field(default_factory=dict)
    strange: dict[str, str] = field(default_factory=dict)


def scan(folder: Path) -> Contents:
    """List a folder and what is in it; links are not followed.

    Raises:
        OSError: a folder cannot be listed.
    """
    found = Contents()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as scanned:
            entries = list(scanned)
        if not entries and prefix:
            found.strange[prefix.rstrip("/")] = "an empty folder"
        for entry in entries:
            path = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path + "/")
            elif stat.S_ISLNK(status.st_mode):
                found.strange[path] = "a link"
            elif not stat.S_ISREG(status.st_mode):
                found.strange[path] = "not a regular file"
            elif path != MANIFEST_NAME:
                found.files[path] = status.st_size
    return found


def named_files(manifest: Manifest) -> dict[str, str]:
    """Files that the manifest's parts name -> who names them."""
    named = {
        manifest.tokenizer.file: "the tokenizer",
        manifest.goldens.file: "the goldens",
    }
    named.update({item.file: f"the {item.runtime} artifact" for item in manifest.artifacts})
    return named


def unsafe_names(manifest: Manifest) -> list[str]:
    """One line for each name in the manifest that is not a plain path inside the bundle."""
    problems = []
    for name in sorted({entry.path for entry in manifest.files} | named_files(manifest).keys()):
        try:
            safe_name(name)
        except UnsafeInput as error:
            problems.append(error.message)
    return problems


def listing_problems(manifest: Manifest) -> list[str]:
    """One line for each way in which the manifest's list of files contradicts itself."""
    counts = Counter(entry.path for entry in manifest.files)
    problems = [f"{path!r} is listed {n} times" for path, n in sorted(counts.items()) if n > 1]
    if MANIFEST_NAME in counts:
        problems.append(f"{MANIFEST_NAME!r} lists itself")
    folded: dict[str, str] = {}
    for path in sorted(counts):
        # A phone's shared storage and most desktops cannot hold two names that differ by case.
        other = folded.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            problems.append(f"{other!r} and {path!r} differ only in case")
    for name, owner in sorted(named_files(manifest).items()):
        if name not in counts:
            problems.append(f"{name!r}, the file of {owner}, is not listed")
    return problems
