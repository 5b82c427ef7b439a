"""Token classification: logits over the labels for every token, ``(1, tokens, labels)``."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForTokenClassification"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()
PAIR = False
LABELS = True


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()
