"""From a criterion to the units that stay: every score lifts to every unit in one way."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import torch
from torch import Tensor

from edgekit.errors import InputRefused, SpecError
from edgekit_converters import prune
from edgekit_converters.prune.evidence import Evidence
from edgekit_converters.prune.groups import Group, lifted
from edgekit_converters.prune.plan import Cut

Units = Mapping[str, Tensor]


def unit_scores(method: str, cut: Cut, evidence: Evidence, how: str = "sum") -> dict[str, Tensor]:
    """A number for each unit of each group, float64, more being better.

    Args:
        method: a file of ``scores``.
        cut: whose groups are ranked.
        evidence: what the criterion looks at.
        how: ``sum`` or ``mean`` over the elements of a unit.

    Raises:
        InputRefused: a score is not a number.
        SpecError: the criterion ranks other units only.
    """
    criterion = prune.module("scores", method)
    if hasattr(criterion, "layer_score"):
        found = {g.name: criterion.layer_score(evidence, _modules(g, method)) for g in cut.groups}
    elif hasattr(criterion, "unit_score"):
        places = enumerate(cut.groups)
        found = {g.name: criterion.unit_score(evidence, g.count, place) for place, g in places}
    else:
        scores = element_scores(method, evidence)
        found = {g.name: lifted(_read(g, criterion), scores, how) for g in cut.groups}
    for name, score in found.items():
        _refuse_nan(name, score, method)
    return found


def element_scores(method: str, evidence: Evidence) -> dict[str, Tensor]:
    """A number for each weight, by parameter name; tied names have the same.

    Raises:
        InputRefused: a score is not a number.
    """
    scores: dict[str, Tensor] = prune.module("scores", method).score(evidence)
    for name, score in scores.items():
        _refuse_nan(name, score, method)
    return scores


def choose(cut: Cut, scores: Units) -> dict[str, list[int]]:
    """The best units of each group, ascending; of equal ones the first stay."""
    kept = {}
    for group in cut.groups:
        order = scores[group.name].argsort(descending=True, stable=True)
        kept[group.name] = sorted(order[: cut.keep[group.name]].tolist())
    return kept


def _read(group: Group, criterion: ModuleType) -> Group:
    """Only the members that read a unit's activation, for criteria that say nothing of others."""
    if not getattr(criterion, "READ_ONLY", False):
        return group
    reading = tuple(member for member in group.members if member.reads)
    return Group(group.name, group.count, reading, group.whole)


def _modules(group: Group, method: str) -> list[str]:
    if group.whole is None:
        raise SpecError(
            f"{method} ranks whole layers only, not {group.name}", hint="Use --granularity layer."
        )
    stack = group.name.removesuffix(" layers")
    head = group.whole[0][0].partition(f"{stack}.")[0]
    return [f"{head}{stack}.{place}" for place in range(group.count)]


def _refuse_nan(name: str, score: Tensor, method: str) -> None:
    if not bool(torch.isfinite(score).all()):
        raise InputRefused(
            f"the {method} score of {name} is not a number",
            hint="Try other texts or another --method; the model may overflow on these.",
            tensor=name,
        )
