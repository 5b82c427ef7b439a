"""Question answering: for every token how likely an answer starts and ends, ``(1, tokens, 2)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.tasks import SEPARATOR

AUTO_CLASS = "AutoModelForQuestionAnswering"
OUTPUT = "spans"
MAY_MISS: tuple[str, ...] = ()
PAIR = True
LABELS = False
_ASKED = 4


class _Spans(nn.Module):
    def forward(self, output: Any, mask: Tensor | None) -> Tensor:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)


def head(folder: Path) -> nn.Module:
    """Start and end logits side by side."""
    return _Spans()


def sample_text(text: str, mask_token: str | None) -> str:
    """The sentence, asked about by its first words."""
    question = " ".join(text.split()[:_ASKED]).rstrip(".,;:!?")
    return f"{question or text}?{SEPARATOR}{text}"
