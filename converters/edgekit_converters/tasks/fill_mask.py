"""Fill mask: logits over the vocabulary for every token, ``(1, tokens, vocabulary)``."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from edgekit.errors import InputRefused
from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForMaskedLM"
OUTPUT = "logits"
MAY_MISS: tuple[str, ...] = ()
PAIR = False
LABELS = False


def head(folder: Path) -> nn.Module:
    """Takes the logits."""
    return Logits()


def sample_text(text: str, mask_token: str | None) -> str:
    """The sentence with its middle word masked.

    Raises:
        InputRefused: the tokenizer has no mask token.
    """
    if mask_token is None:
        raise InputRefused("fill-mask needs a tokenizer with a mask token")
    if mask_token in text:
        return text
    words = text.split()
    middle = len(words) // 2
    return " ".join([*words[:middle], mask_token, *words[middle + 1 :]])
