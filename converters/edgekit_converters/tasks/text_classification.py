"""Text classification: logits ``(1, labels)``; a pair of texts comes in through token types."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForSequenceClassification"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()
PAIR = True
LABELS = True


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()
