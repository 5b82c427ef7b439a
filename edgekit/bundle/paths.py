"""File names that come from data: checked before they touch a file system.

A bundle's manifest and a checkpoint's shard index name files, and both may come from strangers.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from edgekit.errors import UnsafeInput

# Control, format (they reorder or hide text), surrogate, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LONGEST_PART = 255
_LONGEST_NAME = 1024


def safe_name(name: str) -> str:
    """``name`` itself, when it is a plain relative path with ``/`` between its parts.

    Raises:
        UnsafeInput: it is empty, absolute, too long, has ``.`` or ``..`` as a part, a backslash, a
            colon (drive letters), or a control or invisible character.
    """
    reason = _fault(name)
    if reason:
        raise UnsafeInput(
            f"unsafe file name {name[:200]!r}: {reason}",
            hint="Do not use these files: a name in them points outside their folder.",
            name=ascii(name[:200]),
        )
    return name


def safe_join(folder: Path, name: str, *, within: Path | None = None) -> Path:
    """``folder / name``, when that stays inside the folder after links are followed.

    Args:
        folder: where the file should be; it need not exist.
        name: relative name from data.
        within: a wider folder that links may lead into, for stores that keep the content beside
            the folder (the hub's cache); ``folder`` unless given.

    Raises:
        UnsafeInput: the name is unsafe, or a link leads out.
    """
    path = folder / safe_name(name)
    fence = folder if within is None else within
    try:
        inside = path.resolve().is_relative_to(fence.resolve())
    except (OSError, RuntimeError):  # RuntimeError: links in a loop
        inside = False
    if not inside:
        raise UnsafeInput(
            f"{name!r} in {folder} is a link that leads out of the folder",
            hint="Replace the link by a copy of the file it should be.",
            name=name,
        )
    return path


def _fault(name: str) -> str:
    if not name:
        return "it is empty"
    if any(unicodedata.category(char) in _UNPRINTABLE for char in name):
        return "it has a control or invisible character"
    if "\\" in name:
        return "it has a backslash"
    if name.startswith("/"):
        return "it is an absolute path"
    if ":" in name:
        return "it has a colon, as a drive letter does"
    parts = name.split("/")
    if ".." in parts:
        return "it has '..' in it"
    if "." in parts or "" in parts:
        return "it has an empty part or '.' in it"
    longest = max(len(part.encode()) for part in parts)
    if longest > _LONGEST_PART or len(name.encode()) > _LONGEST_NAME:
        return "it is too long"
    return ""
