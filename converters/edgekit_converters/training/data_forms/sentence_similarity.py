"""``text_a, text_b`` that belong together, with a ``score``, or as triplets with a ``negative``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, RowRefused, Said

SCORED, TRIPLETS, PAIRS = "scored", "triplets", "pairs"
NEEDS = {
    SCORED: ("text_a", "text_b", "score"),
    TRIPLETS: ("anchor", "positive", "negative"),
    "anchored": ("anchor", "positive"),
    PAIRS: ("text_a", "text_b"),
}
TAKES: tuple[str, ...] = ()
FEATURES = {"text_a": str, "text_b": str, "negative": str, "score": float}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    first, second, *_ = NEEDS[kind]
    score = data_forms.number(record, "score") if kind == SCORED else None
    if score is not None and not -1 <= score <= 1:
        raise RowRefused(
            f"has the score {score:g}; a score is a cosine from -1 to 1 (divide 0 to 5 by 5)"
        )
    return {
        "text_a": data_forms.text(record, first),
        "text_b": data_forms.text(record, second),
        "negative": data_forms.text(record, "negative") if kind == TRIPLETS else None,
        "score": score,
    }
