"""Optimal Brain Surgeon, layer by layer: ``w^2 / (2 [H^-1]_jj)``, the other weights make up for it.

Hassibi and Stork (NIPS 1992). H is that of the layer's own squared error, ``X^T X`` of its inputs,
as in Dong et al. (1705.07565) and SparseGPT. Several weights that go together are compensated
jointly, which is the closed form of the same problem.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgekit_converters.prune.evidence import Evidence, grams, linears, spread

NEEDS_DATA = True
COMPARABLE = False
READ_ONLY = True
_DAMPING = 0.01
_ROWS = 64


def score(evidence: Evidence) -> dict[str, Tensor]:
    """``w^2 / (2 [H^-1]_jj)`` for each weight of the linear layers."""
    layers = linears(evidence.model)
    found = {}
    for name, gram in grams(evidence).items():
        layer, axis = layers[name]
        weight: Any = layer.weight
        weight = weight.detach()
        inverse = damped(gram).inverse().diagonal()
        found[f"{name}.weight"] = weight.square() / (2 * spread(inverse, weight, axis))
    return found


def damped(gram: Tensor) -> Tensor:
    """The matrix with a hundredth of its mean diagonal added, so that it can be inverted."""
    size = gram.diagonal().mean().clamp_min(1e-12)
    return gram + _DAMPING * size * torch.eye(len(gram), dtype=gram.dtype)


def fit(weight: Tensor, gram: Tensor, removed: Tensor) -> Tensor:
    """The weights that stay, moved so that the layer's output changes least.

    Args:
        weight: ``(out, in)``.
        gram: ``(in, in)``, from ``evidence.grams``.
        removed: bool ``(out, in)``.

    Returns:
        The new weight, zero where removed, in the dtype of ``weight``.
    """
    matrix, wide = damped(gram), weight.double()
    if bool((removed == removed[0]).all()):
        return _fit_columns(wide, matrix, ~removed[0]).to(weight)
    made = torch.empty_like(wide)
    for start in range(0, len(wide), _ROWS):
        part, gone = wide[start : start + _ROWS], removed[start : start + _ROWS]
        made[start : start + _ROWS] = _fit_rows(part, matrix, gone)
    return made.to(weight)


def _fit_columns(weight: Tensor, matrix: Tensor, kept: Tensor) -> Tensor:
    made = torch.zeros_like(weight)
    if bool(kept.any()):
        inside = matrix[kept][:, kept]
        made[:, kept] = torch.linalg.solve(inside, matrix[kept] @ weight.T).T
    return made


def _fit_rows(weight: Tensor, matrix: Tensor, removed: Tensor) -> Tensor:
    """Each row has its own pattern: the equations of removed weights become ``w = 0``."""
    kept = (~removed).double()
    system = matrix * kept[:, :, None] * kept[:, None, :] + torch.diag_embed(1 - kept)
    right = (weight @ matrix) * kept
    made: Tensor = torch.linalg.solve(system, right[:, :, None])[:, :, 0] * kept
    return made
