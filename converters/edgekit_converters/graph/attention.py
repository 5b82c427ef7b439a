"""Attention in three dimensions: what XNNPACK takes whole under a dynamic length.

Registered with transformers' AttentionInterface, so that every family that uses the interface gets
it. Scores are ``(batch * heads, tokens, tokens)``: batch and heads become one dimension by a view.
Without a padding mask no mask is built at all; with one, each text's row is repeated for its heads
once, before the first layer.

``benchmarks/attention.py`` measures this form against transformers' ``eager`` and ``sdpa``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "edgekit"

# Large enough to vanish in a softmax, small enough to stay finite in fp16.
_MASKED = -1e4
# Arguments of transformers' other implementations that mean other scores.
_CHANGE_SCORES = ("softcap", "s_aux", "sinks", "score_mod", "cu_seq_lens_q")


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    Args:
        module: the layer that asks; a causal one is refused.
        query: ``(batch, heads, tokens, head_dim)``; key and value likewise, perhaps with fewer
            heads that several heads of the query share.
        key: see query.
        value: see query.
        attention_mask: additive, ``(batch, 1, 1, tokens)`` for padding or with a row for each
            query ``(batch, 1, tokens, tokens)``, or ``batch * heads`` of either; None when every
            token sees all the others.
        scaling: factor of the scores; ``head_dim ** -0.5`` when None.
        dropout: ignored, the graph is for inference.
        position_bias: added to the scores, ``(1, heads, tokens, tokens)``.
        more: what some architectures add; refused where it would change the scores.

    Returns:
        ``(batch, tokens, heads, head_dim)`` and None for the weights.
    """
    if getattr(module, "is_causal", False):
        raise NotImplementedError("this attention is not causal: every token sees all the others")
    if unknown := sorted(name for name in _CHANGE_SCORES if more.get(name) is not None):
        raise NotImplementedError(f"this attention has no {', '.join(unknown)}")
    batch, heads, head_dim = query.shape[0], query.shape[1], query.shape[3]
    factor = head_dim**-0.5 if scaling is None else scaling
    if (group := heads // key.shape[1]) > 1:
        key, value = (states.repeat_interleave(group, dim=1) for states in (key, value))
    scores = torch.bmm(_flat(query) * factor, _flat(key).transpose(1, 2))
    if attention_mask is not None:
        scores = scores + _for_heads(attention_mask, batch, heads)
    if position_bias is not None:
        scores = scores + position_bias.expand(batch, -1, -1, -1).flatten(0, 1)
    mixed = torch.bmm(torch.softmax(scores, dim=-1), _flat(value))
    if batch == 1:
        return mixed.permute(1, 0, 2).contiguous().view(1, -1, heads, head_dim), None
    split = mixed.reshape(batch, heads, -1, head_dim)
    return split.permute(0, 2, 1, 3).contiguous(), None


def _flat(states: Tensor) -> Tensor:
    """``(batch, heads, tokens, head_dim)`` to ``(batch * heads, tokens, head_dim)``."""
    batch, heads, head_dim = states.shape[0], states.shape[1], states.shape[3]
    return states.reshape(batch * heads, -1, head_dim)


def _for_heads(mask: Tensor, batch: int, heads: int) -> Tensor:
    """A mask that can be added to the scores of all heads of all texts."""
    if mask.shape[0] == 1 or mask.shape[0] == batch * heads:
        return mask.reshape(mask.shape[0], mask.shape[2], -1)
    return mask.expand(-1, heads, -1, -1).flatten(0, 1)


def padding_mask(
    *,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    mask_function: Any = None,
    config: Any = None,
    **shapes: Any,
) -> Tensor | None:
    """The additive mask of a model, as transformers asks for it.

    Args:
        attention_mask: ``(batch, tokens)``, one for a token and zero for padding, or None.
        dtype: of the result.
        mask_function: which pairs of tokens see each other; a sliding window, for instance.
        config: the model's; with several texts it tells the heads that each row is repeated for.
        shapes: sizes and offsets of queries and keys.

    Returns:
        ``(1, 1, 1, tokens)`` or ``(batch * heads, 1, 1, tokens)`` for padding alone, ``(batch, 1,
        tokens, tokens)`` where not every token sees all the others, None without either.
    """
    from transformers import masking_utils

    if mask_function not in (None, masking_utils.bidirectional_mask_function):
        shapes |= {"mask_function": mask_function, "attention_mask": attention_mask}
        shapes |= {"allow_is_bidirectional_skip": False, "allow_is_causal_skip": False}
        seen: Tensor = masking_utils.sdpa_mask(**shapes)
        return (1.0 - seen.to(dtype)) * _MASKED
    if attention_mask is None:
        return None
    heads = getattr(config, "num_attention_heads", 1)
    if attention_mask.shape[0] > 1 and heads > 1:
        # Repeated as integers, before the first float: no delegated part is split by it.
        attention_mask = attention_mask[:, None, :].expand(-1, heads, -1).flatten(0, 1)
    return (1.0 - attention_mask[:, None, None, :].to(dtype)) * _MASKED


def register() -> None:
    """Make the implementation known to transformers under ``NAME``."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, padding_mask)
