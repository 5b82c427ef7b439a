"""Unigram: the likeliest way to cut a text; a way that was best stays best among fewer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "\u2581"


def tokens(model: Mapping[str, Any]) -> dict[int, str]:
    """Id -> token."""
    return {place: entry[0] for place, entry in enumerate(model["vocab"])}


def basic(model: Mapping[str, Any]) -> set[int]:
    """Single characters, with and without the space before them, bytes, and the unknown token."""
    found = {
        place
        for place, (token, _) in enumerate(model["vocab"])
        if len(token.removeprefix(_SPACE)) <= 1 or _BYTE.fullmatch(token)
    }
    unknown = model.get("unk_id")
    return found | ({unknown} if unknown is not None else set())


def parts(model: Mapping[str, Any]) -> Mapping[int, Set[int]]:
    """None: each token stands for itself."""
    return {}


def rewritten(model: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    """The model with only the ids of ``places``, under their new numbers."""
    # Added tokens may come after the model's own: what it does not hold is passed over.
    ours = sorted((new, old) for old, new in places.items() if old < len(model["vocab"]))
    unknown = model.get("unk_id")
    return {
        **model,
        "vocab": [model["vocab"][old] for _, old in ours],
        "unk_id": None if unknown is None else places[unknown],
    }
