"""Distances between two distributions that are given as logits, along the last dimension."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def kl(first: Tensor, second: Tensor) -> Tensor:
    """``KL(softmax(first) || softmax(second))`` in nats, without the last dimension."""
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    return _kl(p, q)


def skew(first: Tensor, second: Tensor, alpha: float) -> Tensor:
    """``KL(p || alpha p + (1 - alpha) q)``; ``alpha`` 0 is ``KL(p || q)``."""
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    return _kl(p, _mixed(p, q, alpha) if alpha else q)


def jensen_shannon(first: Tensor, second: Tensor, beta: float) -> Tensor:
    """``beta KL(p || m) + (1 - beta) KL(q || m)`` with ``m = beta p + (1 - beta) q``."""
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    mix = _mixed(p, q, beta)
    return beta * _kl(p, mix) + (1.0 - beta) * _kl(q, mix)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (p.exp() * (p - q)).sum(-1)


def _mixed(p: Tensor, q: Tensor, share: float) -> Tensor:
    """``log(share p + (1 - share) q)`` of logarithms."""
    return torch.logaddexp(p + math.log(share), q + math.log1p(-share))
