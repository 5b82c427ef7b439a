"""Operators that a decoder's graph calls by name: ExecuTorch's own, and one for ONNX Runtime.

``llama::update_cache`` and ``llama::custom_sdpa`` are ExecuTorch's: no cache is ever copied, heads
that share a key are not repeated. ``edgekit::grouped_attention`` stands in a captured graph for
``com.microsoft.GroupQueryAttention``; what it computes here is the same function.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("edgekit::grouped_attention", mutates_args=())
def grouped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_key: Tensor,
    past_value: Tensor,
    last: Tensor,
    total: Tensor,
    scale: float,
    window: int,
    softcap: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Append keys and values to a cache, and attend over all of it.

    Args:
        query: ``(1, tokens, heads * head_dim)``.
        key: ``(1, tokens, kv_heads * head_dim)``; value likewise.
        value: see key.
        past_key: ``(1, kv_heads, past, head_dim)``; past_value likewise.
        past_value: see past_key.
        last: int32 ``(1, 1)``: position of the last token.
        total: int32 scalar: tokens in all, those of this call included.
        scale: factor of the scores.
        window: how far back a query sees, itself included; -1 for everything.
        softcap: cap of the scores; 0 for none.

    Returns:
        ``(1, tokens, heads * head_dim)``, and keys and values with the new ones at their end.
    """
    from edgekit_converters.generation.attention import plain

    kv_heads, head_dim = past_key.shape[1], past_key.shape[3]
    tokens = query.shape[1]
    heads = query.shape[2] // head_dim

    def split(states: Tensor, count: int) -> Tensor:
        return states.view(1, tokens, count, head_dim).transpose(1, 2)

    keys = torch.cat([past_key, split(key, kv_heads)], dim=2)
    values = torch.cat([past_value, split(value, kv_heads)], dim=2)
    columns = torch.arange(keys.shape[2])[None, :]
    rows = torch.arange(tokens)[:, None] + past_key.shape[2]
    seen = columns <= rows
    if window > 0:
        seen &= columns > rows - window
    mixed = plain(split(query, heads), keys, values, seen, scale, softcap or None)
    return mixed.reshape(1, tokens, heads * head_dim), keys, values


@grouped_attention.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past_key: Tensor,
    past_value: Tensor,
    last: Tensor,
    total: Tensor,
    scale: float,
    window: int,
    softcap: float,
) -> tuple[Tensor, Tensor, Tensor]:
    length = past_key.shape[2] + query.shape[1]
    shape = (1, past_key.shape[1], length, past_key.shape[3])
    return torch.empty_like(query), past_key.new_empty(shape), past_value.new_empty(shape)
