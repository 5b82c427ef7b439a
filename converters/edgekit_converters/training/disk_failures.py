"""A full disk is named as one, also where torch or safetensors put it into words of their own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.bundle.disk import as_write_errors
from edgekit.errors import EdgekitError

# What torch and safetensors say when a write fails.
_WORDS = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")


@contextmanager
def disk_failures_named(folder: Path) -> Iterator[None]:
    """Name the failures of the disk, also those that libraries hide in their own."""
    try:
        with as_write_errors(folder):
            yield
    except Exception as error:
        if (found := _hidden(error)) is None:
            raise
        with as_write_errors(folder):
            raise found from error


def _hidden(error: BaseException) -> OSError | None:
    """A full disk that torch or safetensors put into words."""
    if isinstance(error, OSError | EdgekitError):
        return None
    words = str(error)
    if any(word in words for word in _WORDS):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None
