"""Multiple choice: one score ``(1, 1)`` for a text with one of its choices.

Models take all choices at once, ``(1, choices, tokens)``, and score each by itself. A graph for one
choice is run as often as there are choices, however many, and no choice is padded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgekit.tasks import SEPARATOR
from edgekit_converters.tasks import Logits

AUTO_CLASS = "AutoModelForMultipleChoice"
OUTPUT = "score"
MAY_MISS: tuple[str, ...] = ()
PAIR = True
LABELS = False


class _OneChoice(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Tensor) -> Any:
        return self.model(**{name: tensor[:, None] for name, tensor in inputs.items()})


def head(folder: Path) -> nn.Module:
    """Takes the one logit."""
    return Logits()


def adapt(model: nn.Module) -> nn.Module:
    """The model for a single choice."""
    return _OneChoice(model)


def sample_text(text: str, mask_token: str | None) -> str:
    """The sentence in two halves: its beginning, and what may follow."""
    words = text.split()
    middle = len(words) // 2
    return SEPARATOR.join((" ".join(words[:middle]) or text, " ".join(words[middle:])))
