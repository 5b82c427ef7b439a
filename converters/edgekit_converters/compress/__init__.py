"""Several stages from one recipe, one after the other, and a bundle of the last one's folder.

The kinds of stages are looked up among file names in ``kinds/``, one file each: ``check`` settles a
stage's keys before anything begins, ``run`` makes its folder.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from edgekit.errors import SpecError

_FOLDER = Path(__file__).parent / "kinds"


def names() -> tuple[str, ...]:
    """Every kind of stage, by its file."""
    files = (path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return tuple(sorted(files))


def kind(name: str) -> ModuleType:
    """One kind; a name that no file has is never imported.

    Raises:
        SpecError: there is no such kind.
    """
    if name not in (known := names()):
        near = get_close_matches(name, known, n=1)
        raise SpecError(
            f"unknown kind {name!r}",
            hint=f"Did you mean {near[0]!r}?" if near else f"Kinds: {', '.join(known)}.",
        )
    return importlib.import_module(f"{__name__}.kinds.{name}")
