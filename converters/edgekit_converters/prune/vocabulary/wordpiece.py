"""WordPiece: the longest token that fits, from the left; what does not fit is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any


def tokens(model: Mapping[str, Any]) -> dict[int, str]:
    """Id -> token."""
    return {place: token for token, place in model["vocab"].items()}


def basic(model: Mapping[str, Any]) -> set[int]:
    """Single characters, at the beginning of a word and inside one, and the unknown token."""
    prefix, vocabulary = model.get("continuing_subword_prefix", "##"), model["vocab"]
    single = {i for token, i in vocabulary.items() if len(token.removeprefix(prefix)) == 1}
    return single | {vocabulary[model["unk_token"]]} if model["unk_token"] in vocabulary else single


def parts(model: Mapping[str, Any]) -> Mapping[int, Set[int]]:
    """None: each token is looked up by itself."""
    return {}


def rewritten(model: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    """The model with only the ids of ``places``, under their new numbers."""
    kept = {token: places[old] for token, old in model["vocab"].items() if old in places}
    return {**model, "vocab": dict(sorted(kept.items(), key=lambda item: item[1]))}
