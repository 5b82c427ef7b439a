"""Zero-shot classification: logits ``(1, labels)`` of a premise and a hypothesis."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgekit.errors import InputRefused
from edgekit.tasks import SEPARATOR
from edgekit.tasks.zero_shot_classification import inference_labels
from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForSequenceClassification"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()
PAIR = True
LABELS = True


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse a classifier that is not one of entailment.

    Raises:
        InputRefused: no label is named so.
    """
    if inference_labels(labels) is None:
        raise InputRefused(
            f"none of the model's labels is an entailment: {', '.join(labels[:6])}",
            hint="Zero-shot classification needs a model of natural language inference, with its "
            "labels named in config.json (id2label).",
        )


def sample_text(text: str, mask_token: str | None) -> str:
    """The sentence with a hypothesis on its longest word."""
    word = max(text.split(), key=len).strip(".,;:!?")
    return f"{text}{SEPARATOR}This example is about {word}."
