"""``text``: texts without anything about them, for stages that learn from a teacher alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, Said

NEEDS = {"text": ("text",)}
TAKES: tuple[str, ...] = ()
FEATURES = {"text": str}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    return {"text": data_forms.text(record, "text")}
