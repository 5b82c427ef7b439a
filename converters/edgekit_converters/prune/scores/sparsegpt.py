"""SparseGPT: Optimal Brain Surgeon for a whole layer in one sweep over its columns.

Frantar and Alistarh (2301.00774). The inverse of ``X^T X`` is shared by all rows through its
Cholesky factor; each block of columns chooses what goes and later columns make up for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.scores import obs

NEEDS_DATA = True
COMPARABLE = False
READ_ONLY = True
_BLOCK = 128


def score(evidence: Evidence) -> dict[str, Tensor]:
    """As Optimal Brain Surgeon: the sweep itself chooses anew, see ``sweep``."""
    return obs.score(evidence)


def fit(weight: Tensor, gram: Tensor, removed: Tensor) -> Tensor:
    """Whole columns that go are the surgeon's closed form."""
    return obs.fit(weight, gram, removed)


def sweep(
    weight: Tensor, gram: Tensor, amount: float, pattern: tuple[int, int] | None = None
) -> Tensor:
    """Remove a share of a layer's weights and compensate.

    Args:
        weight: ``(out, in)``.
        gram: ``(in, in)``, from ``evidence.grams``.
        amount: share to remove, in each block of columns.
        pattern: ``(kept, of)`` for a pattern within each row instead, such as ``(2, 4)``.

    Returns:
        The new weight, with exact zeros, in the dtype of ``weight``.
    """
    left = weight.double().clone()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(obs.damped(gram)))
    factor = torch.linalg.cholesky(inverse, upper=True)
    for start in range(0, left.shape[1], _BLOCK):
        end = min(start + _BLOCK, left.shape[1])
        errors = _block(left[:, start:end], factor[start:end, start:end], amount, pattern)
        left[:, end:] -= errors @ factor[start:end, end:]
    return left.to(weight)


def _block(part: Tensor, factor: Tensor, amount: float, pattern: tuple[int, int] | None) -> Tensor:
    """Prune a block of columns in place; returns the errors that later columns make up for."""
    diagonal = factor.diagonal()
    removed = torch.zeros_like(part, dtype=torch.bool)
    if pattern is None:
        count = int(amount * part.numel())
        lowest = (part.square() / diagonal.square()).flatten().argsort()[:count]
        removed.view(-1)[lowest] = True
    errors = torch.zeros_like(part)
    for column in range(part.shape[1]):
        if pattern is not None and column % pattern[1] == 0:
            ahead = slice(column, column + pattern[1])
            saliency = part[:, ahead].square() / diagonal[ahead].square()
            lowest = saliency.argsort(dim=1)[:, : pattern[1] - pattern[0]]
            removed[:, ahead] = removed[:, ahead].scatter(1, lowest, True)
        gone = torch.where(removed[:, column], part[:, column], 0.0)
        errors[:, column] = gone / diagonal[column]
        part[:, column:] -= errors[:, column, None] * factor[column, column:]
        part[:, column] = torch.where(removed[:, column], 0.0, part[:, column])
    return errors
