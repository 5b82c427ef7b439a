"""Checks that a refusal is the right one."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import EdgekitError
from edgekit_converters.folder import check
from edgekit_converters.load import Loaded, load
from edgekit_converters.source import resolve


def loaded(
    folder: Path, auto_class: str = "AutoModelForSequenceClassification", **options: Any
) -> Loaded:
    """Load a local folder."""
    return load(resolve(folder), auto_class, **options)


def refused(
    error: type[EdgekitError], status: int, word: str, job: Callable[[], Any]
) -> EdgekitError:
    """The job fails with this very class, its exit status, a message that tells, and a hint."""
    with pytest.raises(error) as caught:
        job()
    assert type(caught.value) is error
    assert caught.value.exit_status == status
    assert word in caught.value.message, caught.value.message
    assert caught.value.hint
    return caught.value


def refused_at_once(error: type[EdgekitError], status: int, word: str, folder: Path) -> None:
    """The folder is refused by the light check, in less than a second."""
    start = time.monotonic()
    refused(error, status, word, lambda: check(folder))
    assert time.monotonic() - start < 1.0


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Inside, this process may not read the file, also where it is root, who may read anything."""
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        for folder in path.parents:
            if folder == Path(tempfile.gettempdir()):
                break
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
