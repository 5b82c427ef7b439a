"""Attention in three dimensions, for batch 1: what XNNPACK takes whole under a dynamic length.

Registered with transformers' AttentionInterface, so that every family that uses the interface gets
it. Scores are ``(heads, tokens, tokens)``; with batch 1 the leading dimension of the usual
four-dimensional form is dropped by a view, which costs nothing. Without a padding mask no mask is
built at all.

``benchmarks/attention.py`` measures this form against transformers' ``eager`` and ``sdpa``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "edgekit"

# Large enough to vanish in a softmax, small enough to stay finite in fp16.
_MASKED = -1e4


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) for batch 1.

    Args:
        module: the layer that asks; a causal one is refused.
        query: ``(1, heads, tokens, head_dim)``; key and value likewise.
        key: see query.
        value: see query.
        attention_mask: additive ``(1, 1, 1, tokens)``, or None for no padding.
        scaling: factor of the scores; ``head_dim ** -0.5`` when None.
        dropout: ignored, the graph is for inference.

    Returns:
        ``(1, tokens, heads, head_dim)`` and None for the weights.
    """
    if getattr(module, "is_causal", False):
        raise NotImplementedError("this attention is not causal: every token sees all the others")
    heads, head_dim = query.shape[1], query.shape[3]
    factor = head_dim**-0.5 if scaling is None else scaling
    scores = torch.bmm(
        query.view(heads, -1, head_dim) * factor,
        key.view(heads, -1, head_dim).transpose(1, 2),
    )
    if attention_mask is not None:
        scores = scores + attention_mask.view(1, 1, -1)
    mixed = torch.bmm(torch.softmax(scores, dim=-1), value.view(heads, -1, head_dim))
    return mixed.permute(1, 0, 2).contiguous().view(1, -1, heads, head_dim), None


def padding_mask(
    *_: Any, attention_mask: Tensor | None = None, dtype: torch.dtype = torch.float32, **__: Any
) -> Tensor | None:
    """Additive mask ``(1, 1, 1, tokens)`` from a padding mask ``(1, tokens)``; None stays None."""
    if attention_mask is None:
        return None
    return ((1.0 - attention_mask.to(dtype)) * _MASKED)[:, None, None, :]


def register() -> None:
    """Make the implementation known to transformers under ``NAME``."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, padding_mask)
