"""Digests of files."""

from __future__ import annotations

import hashlib
from os import PathLike


def sha256_file(path: str | PathLike[str]) -> str:
    """The file's SHA-256 in lower-case hex, read in blocks so that memory stays flat.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
