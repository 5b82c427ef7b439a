"""Attention of an encoder-decoder: whoever is ``serving`` is handed every call.

Registered with transformers' AttentionInterface for encoder and decoder alike; which of the three
attentions a call is (encoder's, answer's own, over the text) is what the one serving knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from edgekit.errors import InternalError, Unsupported

NAME = "edgekit-seq2seq"

# Arguments of transformers' other implementations that mean other scores.
_CHANGE_SCORES = ("softcap", "s_aux", "sinks", "score_mod", "cu_seq_lens_q")


@dataclass(frozen=True)
class Call:
    """One layer's question.

    Attributes:
        query: ``(1, heads, tokens, head_dim)``.
        key: ``(1, heads, length, head_dim)``; value likewise.
        value: see key.
        scale: factor of the scores.
        bias: added to the scores, ``(1, heads, tokens, length)``; None for none.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    bias: Tensor | None


class Serving(Protocol):
    """Who attends."""

    def attend(self, call: Call) -> Tensor:
        """``(1, tokens, heads, head_dim)``."""

    def mask(self, mask_function: Any) -> None:
        """Take note of a mask that the model asks for; none is ever made."""


_SERVING: list[Serving] = []


@contextmanager
def serving(by: Serving) -> Iterator[None]:
    """Send attention to ``by`` while the block runs."""
    _SERVING.append(by)
    try:
        yield
    finally:
        _SERVING.pop()


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: object,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention by whoever is serving.

    Args:
        module: the layer that asks.
        query: see ``Call``.
        key: see ``Call``.
        value: see ``Call``.
        attention_mask: None; see ``mask``.
        scaling: factor of the scores; ``head_dim ** -0.5`` when None.
        dropout: ignored, the graph is for inference.
        position_bias: see ``Call``.
        more: what some architectures add; refused where it would change the scores.

    Returns:
        ``(1, tokens, heads, head_dim)`` and None for the weights.

    Raises:
        Unsupported: attention of another kind.
    """
    if not _SERVING:
        raise InternalError("attention of an encoder-decoder was called outside its capture")
    unknown = sorted(name for name in _CHANGE_SCORES if more.get(name) is not None)
    if attention_mask is not None:
        unknown.append("a mask of its own")
    if unknown:
        raise Unsupported(f"{type(module).__name__} has attention with {', '.join(unknown)}")
    if key.shape[1] != query.shape[1] or key.shape[3] != value.shape[3]:
        raise Unsupported(
            f"{type(module).__name__} has {query.shape[1]} heads of {query.shape[3]} features for "
            f"queries, {key.shape[1]} of {key.shape[3]} for keys and {value.shape[1]} of "
            f"{value.shape[3]} for values: encoder-decoders need them equal here"
        )
    factor = query.shape[3] ** -0.5 if scaling is None else float(scaling)
    return _SERVING[-1].attend(Call(query, key, value, factor, position_bias)), None


def mask(*, mask_function: Any = None, **_: Any) -> None:
    """What transformers takes for a mask; see ``Serving.mask``."""
    if not _SERVING:
        raise InternalError("a mask of an encoder-decoder was asked for outside its capture")
    _SERVING[-1].mask(mask_function)


def register() -> None:
    """Make both known to transformers under ``NAME``."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask)
