"""Pruning: a smaller model of the same architecture. Scores, granularities and architectures are
looked up among file names; one file each.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from edgekit.errors import SpecError

_HERE = Path(__file__).parent


def names(kind: str) -> tuple[str, ...]:
    """What there is of a kind: ``scores``, ``granularities`` or ``architectures``, by its files."""
    stems = (path.stem for path in (_HERE / kind).glob("*.py") if not path.stem.startswith("_"))
    return tuple(sorted(stem.replace("_", "-") for stem in stems))


def module(kind: str, name: str) -> ModuleType:
    """One file of a kind; a name that no file has is never imported.

    Raises:
        SpecError: there is no such file.
    """
    if name not in (known := names(kind)):
        singular = {"scores": "method", "granularities": "granularity"}.get(kind, kind)
        raise SpecError(f"unknown {singular} {name!r}", hint=f"One of: {', '.join(known)}.")
    return importlib.import_module(f"{__name__}.{kind}.{name.replace('-', '_')}")
