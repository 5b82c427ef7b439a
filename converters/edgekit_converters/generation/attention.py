"""Attention of a decoder over a cache that somebody else keeps.

Registered with transformers' AttentionInterface, so that every family that uses the interface gets
it. The function itself knows no cache: it hands queries, keys and values to the ``Layers`` that are
in use, which store them and attend. Masks never become tensors on the way: a layer sees everything
before it, or a window of it, and a window is a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit.errors import InternalError, Unsupported

NAME = "edgekit-cached"

# Rows of a mask that are looked at in one go.
_ROWS = 256


@dataclass(frozen=True)
class Window:
    """How many tokens a query sees, itself included."""

    size: int


@dataclass(frozen=True)
class Query:
    """One layer's question.

    Attributes:
        query: ``(1, heads, tokens, head_dim)``.
        key: ``(1, kv_heads, tokens, head_dim)``; value likewise.
        value: see key.
        scale: factor of the scores.
        window: how far back a query sees; None for everything.
        softcap: scores go through ``softcap * tanh(score / softcap)``; None for no cap.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    window: int | None
    softcap: float | None


class Layers(Protocol):
    """Who stores keys and values, and attends over them."""

    def attend(self, layer: int, asked: Query) -> Tensor:
        """Store and attend; ``(1, tokens, heads, head_dim)``."""

    def mask(self, mask_function: Any) -> object:
        """What stands for a mask in the calls of ``attention`` that follow."""


_IN_USE: list[Layers] = []


@contextmanager
def using(layers: Layers) -> Iterator[None]:
    """Send attention to ``layers`` while the block runs."""
    _IN_USE.append(layers)
    try:
        yield
    finally:
        _IN_USE.pop()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: object,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    layer: int | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention with grouped heads, over all that came before.

    Args:
        module: the layer that asks.
        query: ``(1, heads, tokens, head_dim)``.
        key: ``(1, kv_heads, tokens, head_dim)``; value likewise.
        value: see key.
        attention_mask: what ``mask`` gave: a ``Window`` or None.
        scaling: factor of the scores; ``head_dim ** -0.5`` when None.
        dropout: ignored, the graph is for inference.
        softcap: see ``Query``.
        layer: number of the layer; the module's own when None.
        s_aux: attention sinks, which no kernel here has.

    Returns:
        ``(1, tokens, heads, head_dim)`` and None for the weights.

    Raises:
        Unsupported: attention of another kind.
    """
    if not _IN_USE:
        raise InternalError("attention over a cache was called without one")
    if not getattr(module, "is_causal", True) or s_aux is not None:
        kind = "attention sinks" if s_aux is not None else "attention to later tokens"
        raise Unsupported(f"{type(module).__name__} has {kind}, which no decoder kernel here has")
    number = getattr(module, "layer_idx", None) if layer is None else layer
    if not isinstance(number, int):
        raise Unsupported(f"{type(module).__name__} does not say which layer it is")
    window = attention_mask.size if isinstance(attention_mask, Window) else None
    factor = query.shape[3] ** -0.5 if scaling is None else float(scaling)
    asked = Query(query, key, value, factor, window, softcap)
    return _IN_USE[-1].attend(number, asked), None


def mask(*, mask_function: Any = None, **_: Any) -> object:
    """What transformers takes for a mask; see ``Layers.mask``."""
    if not _IN_USE:
        raise InternalError("a mask over a cache was asked for without one")
    return _IN_USE[-1].mask(mask_function)


def register() -> None:
    """Make both known to transformers under ``NAME``."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask)


def window_of(mask_function: Any, context: int) -> int | None:
    """How far back a mask lets a query see; None for everything.

    Asks the function about every pair of positions below ``context``.

    Raises:
        Unsupported: it is neither causal nor a causal window.
    """
    zero, columns = torch.zeros((), dtype=torch.int64), torch.arange(context)[None, :]
    last = torch.tensor([[context - 1]])
    seen = torch.as_tensor(mask_function(zero, zero, last, columns)).expand(1, context)
    size = int(seen.sum())
    for first in range(0, context, _ROWS):
        rows = torch.arange(first, min(first + _ROWS, context))[:, None]
        seen = torch.as_tensor(mask_function(zero, zero, rows, columns))
        wanted = (columns <= rows) & (columns > rows - size)
        if not torch.equal(seen.expand(wanted.shape).bool(), wanted):
            raise Unsupported(
                "a layer's mask is neither causal nor a sliding window",
                hint="Chunked and block-wise masks have no kernel here; try a smaller "
                "--max-context, within one chunk every mask is causal.",
            )
    return None if size == context else size


def plain(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float, softcap: float | None
) -> Tensor:
    """Attention in plain operators, for what has no kernel.

    Args:
        query: ``(1, heads, tokens, head_dim)``.
        key: ``(1, kv_heads, length, head_dim)``; value likewise.
        value: see key.
        seen: bool ``(tokens, length)``.
        scale: factor of the scores.
        softcap: see ``Query``.

    Returns:
        ``(1, tokens, heads, value_dim)``.
    """
    heads, kv_heads, head_dim = query.shape[1], key.shape[1], query.shape[3]
    group = heads // kv_heads
    # The heads of a group are rows of one product: nothing is repeated.
    # [0] is also what no delegate takes: without it XNNPACK's partitioner joins the part that makes
    # queries and keys to the part that reads them back from the cache, and fails on the cycle.
    rows = _dense((query * scale)[0]).view(kv_heads, -1, head_dim)
    scores = torch.bmm(rows, key[0].transpose(1, 2))
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(kv_heads, group, -1, key.shape[2])
    scores = scores + torch.where(seen, 0.0, -1e30)
    weights = torch.softmax(scores, dim=-1).view(kv_heads, -1, key.shape[2])
    mixed = torch.bmm(weights, value[0]).view(kv_heads, group, -1, value.shape[3])
    return _dense(mixed.permute(2, 0, 1, 3)).view(1, -1, heads, value.shape[3])


def _dense(states: Tensor) -> Tensor:
    """A copy in row-major order; asking first whether it is needed would guard on the length."""
    return states.clone(memory_format=torch.contiguous_format)
