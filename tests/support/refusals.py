"""Checks that a refusal is the right one."""

from __future__ import annotations

import time
from collections.abc import Callable
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
