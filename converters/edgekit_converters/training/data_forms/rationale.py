"""``input, rationale, label``: an answer and the reasoning before it, as a teacher writes them.

Distilling step by step (Hsieh et al. 2023, 2305.02301) learns the two as separate targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, Said

NEEDS = {"rationale": ("input", "rationale", "label")}
TAKES: tuple[str, ...] = ()
FEATURES = {"input": str, "rationale": str, "label": str}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    label = record.get("label")
    if isinstance(label, int | float) and not isinstance(label, bool):
        record = {**record, "label": f"{label:g}" if isinstance(label, float) else str(label)}
    made = {column: data_forms.text(record, column) for column in FEATURES}
    data_forms.known(made["label"], said)
    return made
