"""Trim a vocabulary: the tokens that a corpus uses stay, with their ids counted anew.

Abdaoui et al. (2010.05609) trim multilingual models so. A kind of tokenizer is one file, named as
its model in ``tokenizer.json``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Protocol, cast

from edgekit.errors import Unsupported


class Kind(Protocol):
    """What the file of a kind of tokenizer gives. ``model`` is that part of ``tokenizer.json``."""

    def tokens(self, model: Mapping[str, Any]) -> dict[int, str]:
        """Id -> token."""

    def basic(self, model: Mapping[str, Any]) -> set[int]:
        """Ids that any text may fall back to: single characters and bytes."""

    def parts(self, model: Mapping[str, Any]) -> Mapping[int, Set[int]]:
        """Id -> the other ids without which the token is never reached."""

    def rewritten(self, model: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
        """The model with only the ids of ``places``, under their new numbers."""


def kind(data: Mapping[str, Any]) -> Kind:
    """The file for a ``tokenizer.json``.

    Raises:
        Unsupported: no file knows this kind.
    """
    named = str(data["model"].get("type") or _guess(data["model"]))
    files = {path.stem for path in Path(__file__).parent.glob("*.py")}
    known = sorted(files & {"bpe", "unigram", "wordpiece"})
    if named.lower() not in known:
        raise Unsupported(
            f"a {named} tokenizer cannot be trimmed", hint=f"Kinds: {', '.join(known)}."
        )
    return cast(Kind, importlib.import_module(f"{__name__}.{named.lower()}"))


def _guess(model: Mapping[str, Any]) -> str:
    """Old files do not name their kind."""
    if "merges" in model:
        return "BPE"
    return "WordPiece" if isinstance(model.get("vocab"), dict) else "Unigram"
