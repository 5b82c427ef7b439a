"""``source, target``: what goes in, what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, Said

NEEDS = {"pairs": ("source", "target"), "prompts": ("prompt", "completion")}
TAKES: tuple[str, ...] = ()
FEATURES = {"source": str, "target": str}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    source, target = NEEDS[kind]
    return {"source": data_forms.text(record, source), "target": data_forms.text(record, target)}
