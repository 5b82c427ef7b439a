"""Feature extraction: the last hidden state, ``(1, tokens, hidden)``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

AUTO_CLASS = "AutoModel"
OUTPUT = "last_hidden_state"
MAY_MISS = ("pooler.",)
PAIR = False
LABELS = False


class _LastHidden(nn.Module):
    def forward(self, output: Any, mask: Tensor | None) -> Tensor:
        hidden: Tensor = output.last_hidden_state
        return hidden


def head(folder: Path) -> nn.Module:
    """Takes the last hidden state."""
    return _LastHidden()
