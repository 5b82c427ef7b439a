"""``tokens, labels``: two lists of equal length; words, and what each one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, RowRefused, Said

NEEDS = {"tokens": ("tokens", "labels")}
TAKES: tuple[str, ...] = ()
FEATURES = {"tokens": [str], "labels": [str]}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    tokens = data_forms.listed(record, "tokens")
    labels = data_forms.listed(record, "labels")
    if len(tokens) != len(labels):
        raise RowRefused(f"has {len(tokens)} tokens and {len(labels)} labels")
    for token in tokens:
        if not isinstance(token, str):
            what = data_forms.type_name(token)
            raise RowRefused(f"has a token that is {what} ({data_forms.short(token)}), not text")
        data_forms.checked(token, "token")
    return {"tokens": tokens, "labels": [_label(label, said) for label in labels]}


def _label(value: Any, said: Said) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and said.labels is not None:
        value = said.labels[value] if 0 <= value < len(said.labels) else str(value)
    if not isinstance(value, str) or not value.strip():
        what = data_forms.type_name(value)
        raise RowRefused(
            f"has a label that is {what} ({data_forms.short(value)}), not a name such as O or B-PER"
        )
    return data_forms.known(value.strip(), said)
