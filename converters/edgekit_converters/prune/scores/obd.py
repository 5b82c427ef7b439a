"""Optimal Brain Damage: saliency ``h * w^2 / 2`` with the diagonal of the second derivative.

LeCun, Denker and Solla (NIPS 1989). The diagonal here is that of the Gauss-Newton matrix, which is
the paper's own approximation (it drops the term with the activation's second derivative) and is
never negative. It is estimated after Hutchinson (1990): the square of a random backward pass whose
expectation is the diagonal; ``exact_diagonal`` sums over all outputs instead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit_converters.prune.evidence import Evidence

NEEDS_DATA = True
COMPARABLE = True


def score(evidence: Evidence) -> dict[str, Tensor]:
    """``h * w^2 / 2`` of every weight; h is a mean over texts."""
    return saliency(evidence, diagonal(evidence))


def saliency(evidence: Evidence, curvature: dict[str, Tensor]) -> dict[str, Tensor]:
    """The increase of the loss when one weight becomes zero, to second order."""
    weights = evidence.weights()
    return {name: h * weights[name].detach().square() / 2 for name, h in curvature.items()}


def diagonal(evidence: Evidence) -> dict[str, Tensor]:
    """Diagonal of the Gauss-Newton matrix, estimated with ``probes`` random passes a batch."""
    draw = evidence.generator()
    total: dict[str, Tensor] = {}
    count = 0
    with evidence.differentiable():
        for batch in evidence.batches:
            rows = evidence.rows(evidence.model, batch)
            count += rows.shape[0]
            for probe in range(evidence.probes):
                value = evidence.curvature_loss(rows, draw)
                keep = probe + 1 < evidence.probes
                _add_squares(total, _gradients(evidence, value, keep), 1 / evidence.probes)
    return {name: squares / count for name, squares in total.items()}


def exact_diagonal(evidence: Evidence) -> dict[str, Tensor]:
    """Diagonal of the Gauss-Newton matrix, one backward pass for each row and output.

    The curvature of the loss in its outputs is ``S S^T``: for cross entropy with probabilities p,
    the columns of S are ``sqrt(p_k) (e_k - p)``; for half the squared error S is the identity.
    """
    total: dict[str, Tensor] = {}
    count = 0
    with evidence.differentiable():
        for batch in evidence.batches:
            rows = evidence.rows(evidence.model, batch)
            count += rows.shape[0]
            for row in rows:
                for direction in _root(row.detach(), evidence.categorical).T:
                    value = (row * direction).sum()
                    _add_squares(total, _gradients(evidence, value, True), 1.0)
    return {name: squares / count for name, squares in total.items()}


def _root(row: Tensor, categorical: bool) -> Tensor:
    if not categorical:
        return torch.eye(len(row)).to(row)
    chance = row.softmax(-1)
    return (torch.eye(len(row)).to(row) - chance[:, None]) * chance.sqrt()


def _gradients(evidence: Evidence, value: Tensor, keep: bool) -> dict[str, Tensor]:
    named = evidence.weights()
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True, retain_graph=keep)
    return {n: g for n, g in zip(named, found, strict=True) if g is not None}


def _add_squares(total: dict[str, Tensor], found: dict[str, Tensor], share: float) -> None:
    for name, gradient in found.items():
        squares = gradient.square() * share
        total[name] = total[name] + squares if name in total else squares
