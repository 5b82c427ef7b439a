"""XLNet: relative attention for one text, its projections as linear layers.

transformers writes every projection as an einsum over a three-dimensional weight, which neither
delegate nor quantization knows as a layer; it shifts the relative scores by reshapes whose sizes
torch.export cannot prove, and computes the positions' angles anew for each text. Here the scores
are gathered and the angles cut from one table. Dai et al. 2019, appendix B; Yang et al. 2019, 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def capturable(model: nn.Module, max_length: int) -> Iterator[None]:
    """See the package."""
    base: Any = getattr(model, str(model.base_model_prefix), model)
    plain = [layer.rel_attn for layer in base.layer]
    table = base.relative_positional_encoding(max_length + 1, max_length + 1, bsz=1)
    for layer in base.layer:
        layer.rel_attn = _Attention(layer.rel_attn)
    base.register_buffer("positions_table", table, persistent=False)
    base.relative_positional_encoding = _Positions(base)
    try:
        yield
    finally:
        del base.relative_positional_encoding
        del base.positions_table
        for layer, attention in zip(base.layer, plain, strict=True):
            layer.rel_attn = attention


class _Positions:
    """Angles for the positions ``tokens`` to ``1 - tokens``, in that order."""

    def __init__(self, base: Any) -> None:
        self._base = base

    def __call__(self, qlen: Any, klen: Any, bsz: Any = None, device: Any = None) -> Tensor:
        table: Tensor = self._base.positions_table
        middle = table.shape[0] // 2
        return table[middle - klen : middle + qlen]


class _Attention(nn.Module):
    """Same arguments and result as ``XLNetRelativeAttention``; one text, no memory."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        width, self._heads, self._size = plain.q.shape
        self._scale = plain.scale
        self.q, self.k, self.v, self.r = (
            _linear(weight.reshape(width, -1).T) for weight in (plain.q, plain.k, plain.v, plain.r)
        )
        self.o = _linear(plain.o.reshape(width, -1))
        self.content_bias = nn.Buffer(plain.r_w_bias[:, None, :].clone())
        self.position_bias = nn.Buffer(plain.r_r_bias[:, None, :].clone())
        self.segment_bias = nn.Buffer(plain.r_s_bias[:, None, :].clone())
        # (heads, size, 2): same segment, another one.
        self.segments = nn.Buffer(plain.seg_embed.permute(1, 2, 0).contiguous())
        self.layer_norm = plain.layer_norm

    def forward(
        self,
        h: Tensor,
        g: Tensor | None,
        attn_mask_h: Tensor | None,
        attn_mask_g: Tensor | None,
        r: Tensor,
        seg_mat: Tensor | None,
        mems: Tensor | None = None,
        target_mapping: Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, None]:
        """``h`` is ``(tokens, 1, width)``, ``r`` ``(2 * tokens, 1, width)``."""
        if g is not None or mems is not None or target_mapping is not None:
            raise NotImplementedError("one stream without memory is all that is captured")
        query, key = self._split(self.q(h)), self._split(self.k(h))
        value, place = self._split(self.v(h)), self._split(self.r(r))
        scores = torch.bmm(query + self.content_bias, key.transpose(1, 2))
        scores = scores + _shifted(torch.bmm(query + self.position_bias, place.transpose(1, 2)))
        if seg_mat is not None:
            by_type = torch.bmm(query + self.segment_bias, self.segments)
            same, other = by_type[:, :, :1], by_type[:, :, 1:]
            scores = scores + same + seg_mat[None, :, :, 0, 1] * (other - same)
        scores = scores * self._scale
        if attn_mask_h is not None:
            scores = scores - 1e30 * attn_mask_h[None, :, :, 0, 0]
        mixed = torch.bmm(scores.softmax(dim=2), value)
        joined = mixed.permute(1, 0, 2).reshape(-1, 1, self._heads * self._size)
        return self.layer_norm(self.o(joined) + h), None

    def _split(self, states: Tensor) -> Tensor:
        """``(tokens, 1, width)`` to ``(heads, tokens, size)``."""
        return states.reshape(-1, self._heads, self._size).permute(1, 0, 2)


def _linear(weight: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    return made


def _shifted(scores: Tensor) -> Tensor:
    """``(heads, tokens, 2 * tokens)`` by distance to ``(heads, tokens, tokens)`` by key.

    A row begins at distance ``tokens``, so key ``j`` of query ``i`` is at ``tokens - i + j``.
    """
    heads, tokens = scores.shape[0], scores.shape[1]
    steps = torch.arange(tokens)
    place = steps[None, :] - steps[:, None] + tokens
    return scores.gather(2, place.expand(heads, -1, -1))
