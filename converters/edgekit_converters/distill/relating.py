"""How the tokens of a text relate to each other in a model: one distribution for each token."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit.errors import SpecError
from edgekit_converters.distill.outputs import pair_mask

_TINY = 1e-12


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor, heads: int, most: int) -> Tensor:
    """``KL`` of scaled dot products, softmaxed over the tokens; mean over heads and real tokens.

    Args:
        student: ``(texts, tokens, width)``.
        teacher: the same with its own width.
        mask: ``(texts, tokens)``.
        heads: that both are regrouped into; 0 for the largest number that fits.
        most: of the heads that are tried for 0.

    Returns:
        ``(texts,)``.

    Raises:
        SpecError: the number of heads does not divide both widths.
    """
    count = heads or next(
        n for n in range(most, 0, -1) if not student.shape[-1] % n and not teacher.shape[-1] % n
    )
    for whose, width in (("student", student.shape[-1]), ("teacher", teacher.shape[-1])):
        if width % count:
            raise SpecError(
                f"{count} relation heads do not divide the {whose}'s width of {width}",
                hint="Choose a number that divides both widths, or 0.",
            )
    own, other = _relations(student, mask, count), _relations(teacher, mask, count)
    return _mean(_divergence(other, own), mask)


def map_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """``KL`` of attention probabilities ``(texts, heads, tokens, tokens)``; ``(texts,)``."""
    own, other = (t.clamp(min=_TINY).log() for t in (student, teacher))
    return _mean((teacher * (other - own)).sum(-1), mask)


def _relations(values: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Log-probabilities ``(texts, heads, tokens, tokens)``; padding is related to by nobody."""
    texts, tokens, width = values.shape
    split = values.view(texts, tokens, heads, width // heads).transpose(1, 2)
    scores = split @ split.transpose(-1, -2) / math.sqrt(width // heads)
    hidden = ~pair_mask(mask)[:, None]
    lowest = torch.finfo(scores.dtype).min
    return F.log_softmax(scores.masked_fill(hidden, lowest), -1)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return (p.exp() * (p - q)).sum(-1)


def _mean(by_token: Tensor, mask: Tensor) -> Tensor:
    """From ``(texts, heads, tokens)`` to ``(texts,)`` over real tokens."""
    each = by_token.mean(1)
    real = mask.to(each.dtype)
    return (each * real).sum(1) / real.sum(1)
