"""Sentence similarity: pooling and normalisation inside the graph, ``(1, hidden)``.

Read from the sentence-transformers files (Reimers and Gurevych 2019); a folder without them gets
the mean over tokens, as sentence-transformers itself would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import Unsupported
from edgekit_converters.detect import Pooling, sentence_pooling

AUTO_CLASS = "AutoModel"
OUTPUT = "sentence_embedding"
MAY_MISS = ("pooler.",)
PAIR = False
LABELS = False


def head(folder: Path) -> nn.Module:
    """Pooling as the folder's files say.

    Raises:
        Unsupported: a pooling mode that has no graph form here.
    """
    pooling = Pooling("mean", False, None)
    if (folder / "modules.json").exists():
        pooling = sentence_pooling(folder)
    if pooling.mode not in _POOLINGS:
        raise Unsupported(
            f"pooling mode {pooling.mode!r} is not available",
            hint=f"Available: {', '.join(sorted(_POOLINGS))}.",
        )
    return _Pooled(pooling)


class _Pooled(nn.Module):
    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self._mode = pooling.mode
        self._normalize = pooling.normalize

    def forward(self, output: Any, mask: Tensor | None) -> Tensor:
        hidden: Tensor = output.last_hidden_state
        weights = None if mask is None else mask.to(hidden.dtype)[:, :, None]
        pooled = _POOLINGS[self._mode](hidden, weights)
        return F.normalize(pooled, p=2.0, dim=1) if self._normalize else pooled


def _mean(hidden: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return hidden.mean(dim=1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _mean_sqrt_len(hidden: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        weights = torch.ones_like(hidden[:, :, :1])
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).sqrt()


def _max(hidden: Tensor, weights: Tensor | None) -> Tensor:
    if weights is not None:
        hidden = hidden + (weights - 1.0) * 1e9
    return hidden.amax(dim=1)


def _cls(hidden: Tensor, weights: Tensor | None) -> Tensor:
    return hidden[:, 0]


_POOLINGS = {"mean": _mean, "mean_sqrt_len": _mean_sqrt_len, "max": _max, "cls": _cls}
