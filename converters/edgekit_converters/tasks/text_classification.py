"""Text classification: logits ``(1, labels)``; a pair of texts comes in through token types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from edgekit_converters.tasks import Logits, has_token_types

AUTO_CLASS = "AutoModelForSequenceClassification"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()


def inputs(config: Any) -> tuple[str, ...]:
    """Token ids, and token types where the architecture has them."""
    return ("input_ids", "token_type_ids") if has_token_types(config) else ("input_ids",)


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()
