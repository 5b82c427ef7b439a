"""Remove single weights: which ones, spread how over the layers, and what the others make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgekit_converters import prune
from edgekit_converters.prune import ranking
from edgekit_converters.prune.evidence import Evidence, grams, linears
from edgekit_converters.prune.granularities import block, element, pattern

Masks = dict[str, Tensor]
Amounts = Mapping[str, float]


def targets(model: nn.Module) -> dict[str, int]:
    """Weights that may have zeros -> the dimension that reads the input.

    Those of linear layers; a head that shares the table of tokens is left alone.
    """
    tables = {
        child.weight.data_ptr() for child in model.modules() if isinstance(child, nn.Embedding)
    }
    found = {}
    for name, (layer, axis) in linears(model).items():
        weight: Any = layer.weight
        if weight.data_ptr() not in tables:
            found[f"{name}.weight"] = axis
    return found


def masked(
    evidence: Evidence,
    granularity: str,
    method: str,
    amount: float,
    amounts: Callable[[Mapping[str, Tensor]], Amounts],
    before: Masks | None = None,
) -> Masks:
    """Set a share of the model's weights to zero, in place.

    Args:
        evidence: with the model, which is changed.
        granularity: ``element``, ``block`` or a pattern such as ``2:4``.
        method: a file of ``scores``.
        amount: share of each weight's elements, unless ``amounts`` says otherwise.
        amounts: share of each weight, from the scores.
        before: what earlier rounds removed; it stays removed.

    Returns:
        Parameter name -> bool of its shape, True where the weight is gone.
    """
    criterion: Any = prune.module("scores", method)
    axes = targets(evidence.model)
    scores = {n: s for n, s in ranking.element_scores(method, evidence).items() if n in axes}
    for name, gone in (before or {}).items():
        scores[name] = scores[name].masked_fill(gone, -torch.inf)
    shares = dict.fromkeys(scores, amount) if ":" in granularity else amounts(scores)
    weights = evidence.weights()
    layer_grams = grams(evidence) if hasattr(criterion, "fit") else {}
    found: Masks = {}
    for name, score in scores.items():
        gram = layer_grams.get(name.removesuffix(".weight"))
        with torch.no_grad():
            if hasattr(criterion, "sweep") and granularity != "block" and gram is not None:
                wide = _turned(weights[name].detach(), axes[name])
                shape = pattern.pattern(granularity) if ":" in granularity else None
                swept = criterion.sweep(wide, gram, shares[name], shape)
                weights[name].copy_(_turned(swept, axes[name]))
                found[name] = weights[name] == 0
                continue
            per_output = axes[name] if getattr(criterion, "PER_OUTPUT", False) else None
            gone = _removed(granularity, score, shares[name], axes[name], per_output)
            if gram is not None:
                wide = _turned(weights[name].detach(), axes[name])
                fitted = criterion.fit(wide, gram, _turned(gone, axes[name]))
                weights[name].copy_(_turned(fitted, axes[name]))
            weights[name][gone] = 0.0
            found[name] = gone
    return found


def apply(model: nn.Module, masks: Masks) -> None:
    """Set what a mask removed to zero again, as after a step of training."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, gone in masks.items():
            named[name].masked_fill_(gone, 0.0)


def _removed(
    granularity: str, score: Tensor, amount: float, axis: int, per_output: int | None
) -> Tensor:
    if ":" in granularity:
        return pattern.removed(score, *pattern.pattern(granularity), axis)
    if granularity == "block":
        return block.removed(score, amount)
    return element.removed(score, amount, per_output)


def _turned(weight: Tensor, axis: int) -> Tensor:
    """``(out, in)`` from a weight that reads its input along ``axis``, and back."""
    return weight if axis == 1 else weight.T
