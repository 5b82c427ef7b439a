"""Byte-pair encoding: a token is reached by merging its parts, so its parts stay with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from itertools import pairwise
from typing import Any

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
Pair = tuple[str, str]


def tokens(model: Mapping[str, Any]) -> dict[int, str]:
    """Id -> token."""
    return {place: token for token, place in model["vocab"].items()}


def basic(model: Mapping[str, Any]) -> set[int]:
    """Single characters (bytes of a byte-level tokenizer are characters), bytes, the unknown."""
    suffix = model.get("end_of_word_suffix") or ""
    found = set()
    for token, place in model["vocab"].items():
        bare = token.removesuffix(suffix) if suffix else token
        if len(bare) == 1 or _BYTE.fullmatch(token) or token == model.get("unk_token"):
            found.add(place)
    return found


def parts(model: Mapping[str, Any]) -> Mapping[int, Set[int]]:
    """What the merges make on the way to each token, in the order in which they would be applied.

    A token inside a word is merged as it would be alone: no merge crossed its borders, or the word
    would have been split elsewhere.
    """
    ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
    vocabulary = model["vocab"]
    return {
        place: {vocabulary[part] for part in _way(token, ranks, model) if part in vocabulary}
        for token, place in vocabulary.items()
    }


def rewritten(model: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    """The model with only the ids of ``places``; merges whose parts or result are gone go too."""
    kept = {token: places[old] for token, old in model["vocab"].items() if old in places}
    prefix = model.get("continuing_subword_prefix") or ""
    merges = [
        list(pair)
        for pair in _merges(model)
        if pair[0] in kept and pair[1] in kept and pair[0] + pair[1].removeprefix(prefix) in kept
    ]
    ordered = dict(sorted(kept.items(), key=lambda item: item[1]))
    return {**model, "vocab": ordered, "merges": merges}


def _merges(model: Mapping[str, Any]) -> list[Pair]:
    """Old files write a merge as one text."""
    return [
        (merge.split(" ", 1)[0], merge.split(" ", 1)[1])
        if isinstance(merge, str)
        else (merge[0], merge[1])
        for merge in model["merges"]
    ]


def _way(token: str, ranks: Mapping[Pair, int], model: Mapping[str, Any]) -> set[str]:
    suffix = model.get("end_of_word_suffix") or ""
    bare = token.removesuffix(suffix) if suffix else token
    symbols = list(bare)
    if suffix and token.endswith(suffix) and symbols:
        symbols[-1] += suffix
    passed = set(symbols)
    while len(symbols) > 1:
        pairs = [(ranks.get((a, b)), i) for i, (a, b) in enumerate(pairwise(symbols))]
        possible = [(rank, i) for rank, i in pairs if rank is not None]
        if not possible:
            return set()  # never reached by merging: nothing depends on it
        _, place = min(possible)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        passed.add(symbols[place])
    return passed
