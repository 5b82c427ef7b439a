"""Remove units: rank them, let what stays make up for them where the method can, and cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgekit_converters import prune
from edgekit_converters.prune import architecture, ranking, surgeon
from edgekit_converters.prune.architecture import Architecture
from edgekit_converters.prune.evidence import Evidence, grams, linears
from edgekit_converters.prune.groups import Group


@dataclass(frozen=True)
class Trimmed:
    """What a cut left.

    Attributes:
        model: with the smaller shapes.
        kept: group name -> units that stayed, by their numbers before this cut.
        sizes: the config's new numbers.
    """

    model: nn.Module
    kept: Mapping[str, Sequence[int]]
    sizes: Mapping[str, int]


def trimmed(
    evidence: Evidence,
    full: Architecture,
    granularity: str,
    method: str,
    amount: float,
    how: str = "sum",
) -> Trimmed:
    """Remove a share of the units of a model.

    Args:
        evidence: with the model as it is now, which stays as it is.
        full: structure of the model that the amount is a share of.
        granularity: a structured file of ``granularities``.
        method: a file of ``scores``.
        amount: share of the full model's units.
        how: ``sum`` or ``mean`` over the elements of a unit.

    Raises:
        SpecError, Unsupported: there is nothing of the kind to remove, or all of it would go.
    """
    now = architecture.of(evidence.model)
    cut = prune.module("granularities", granularity).cut(now, full, amount)
    kept = ranking.choose(cut, ranking.unit_scores(method, cut, evidence, how))
    criterion: Any = prune.module("scores", method)
    if hasattr(criterion, "fit") and granularity in ("ffn", "head"):
        with _compensated(evidence, cut.groups, kept, criterion):
            made = surgeon.cut(now, cut.groups, kept, cut.sizes)
    else:
        made = surgeon.cut(now, cut.groups, kept, cut.sizes)
    return Trimmed(made, kept, cut.sizes)


class _compensated:
    """Inside, the layers that read a group make up for the units that go; as before outside."""

    def __init__(
        self,
        evidence: Evidence,
        groups: Sequence[Group],
        kept: Mapping[str, Sequence[int]],
        criterion: Any,
    ) -> None:
        self._weights = evidence.weights()
        layers = linears(evidence.model)
        self._before = {}
        self._after = {}
        readers = {
            m.parameter.removesuffix(".weight"): (g, m)
            for g in groups
            for m in g.members
            if m.reads and m.parameter.removesuffix(".weight") in layers
        }
        for name, gram in grams(evidence, tuple(readers)).items():
            group, member = readers[name]
            weight = self._weights[f"{name}.weight"].detach()
            wide = weight if member.dim == 1 else weight.T
            gone = torch.ones(wide.shape[1], dtype=torch.bool)
            gone[member.index(kept[group.name])] = False
            fitted = criterion.fit(wide, gram, gone.expand_as(wide))
            self._before[f"{name}.weight"] = weight.clone()
            self._after[f"{name}.weight"] = fitted if member.dim == 1 else fitted.T

    def __enter__(self) -> None:
        self._put(self._after)

    def __exit__(self, *ignored: object) -> None:
        self._put(self._before)

    def _put(self, values: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self._weights[name].copy_(value)
