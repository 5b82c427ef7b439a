"""Single weights: a mask of zeros, which no kernel on a phone takes advantage of."""

from __future__ import annotations

import torch
from torch import Tensor

UNITS = "weights"


def removed(score: Tensor, amount: float, axis: int | None = None) -> Tensor:
    """Which elements go: the lowest, as many as the amount says.

    Args:
        score: of each element of one weight.
        amount: share to remove.
        axis: rank within each output, the weight's input being along this dimension.

    Returns:
        bool, in the shape of ``score``.
    """
    if axis is None:
        gone = torch.zeros(score.numel(), dtype=torch.bool)
        count = round(amount * score.numel())
        gone[score.flatten().argsort(stable=True)[:count]] = True
        return gone.reshape(score.shape)
    lowest = score.argsort(dim=axis, stable=True).narrow(axis, 0, round(amount * score.shape[axis]))
    return torch.zeros_like(score, dtype=torch.bool).scatter(axis, lowest, True)
