"""``text, label``: one class, several classes (a list), or a number; ``text_b`` for pairs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, RowRefused, Said

SINGLE, MULTI, REGRESSION = "single", "multi", "regression"
NEEDS = {SINGLE: ("text", "label"), MULTI: ("text", "label"), REGRESSION: ("text", "label")}
TAKES = ("text_b",)
FEATURES = {"text": str, "text_b": str, "labels": [str], "score": float}
_DECIMAL = re.compile(r"\s*[-+]?\d*\.\d+\s*")


def kind(record: Mapping[str, Any], found: str, said: Said) -> str:
    """A list means several labels, a number with a point a score, all else a class."""
    value = data_forms.unpacked(record.get("label"))
    if isinstance(value, list):
        return MULTI
    if said.labels is None and (isinstance(value, float) or _is_decimal(value)):
        return REGRESSION
    return SINGLE


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    made: Row = {
        "text": data_forms.text(record, "text"),
        "text_b": data_forms.optional_text(record, "text_b"),
        "labels": [],
        "score": None,
    }
    if kind == REGRESSION:
        made["score"] = data_forms.number(record, "label")
        return made
    value = data_forms.unpacked(record.get("label"))
    if kind == SINGLE:
        made["labels"] = [_label(value, said)]
        return made
    if not isinstance(value, list):
        raise RowRefused(f"has one label ({data_forms.short(value)}) where others have lists")
    labels = [_label(one, said) for one in value]
    if len(set(labels)) != len(labels):
        raise RowRefused(f"has a label twice ({data_forms.short(value)})")
    made["labels"] = labels
    return made


def _label(value: Any, said: Said) -> str:
    """A label's name; a number is a name too, unless the labels are known: then it is an index."""
    if value is None or value == "":
        raise RowRefused("has no label")
    if isinstance(value, str):
        return data_forms.known(data_forms.checked(value.strip(), "label"), said)
    if isinstance(value, bool):
        return data_forms.known(str(value).lower(), said)
    if not isinstance(value, int):
        what = data_forms.type_name(value)
        raise RowRefused(f"has a label that is {what} ({data_forms.short(value)}), not a class")
    if said.labels is not None and str(value) not in said.labels and 0 <= value < len(said.labels):
        return said.labels[value]
    return data_forms.known(str(value), said)


def _is_decimal(value: Any) -> bool:
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None
