"""Files as callers name them."""

from __future__ import annotations

from pathlib import Path


def path_of(given: str | Path | None) -> Path | None:
    """A text or a path as a path; None stays None."""
    return None if given is None else Path(given)
