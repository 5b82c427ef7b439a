"""Units that are removed together, and where each lies in the parameters.

A group is a set of units of one kind in one place: the neurons of a layer's feed-forward network,
its heads, the residual width of the whole model. A unit owns a slice of several parameters, and all
of them shrink together (Fang et al. 2023, "DepGraph", call it a dependency group).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Scores = Mapping[str, Tensor]


@dataclass(frozen=True)
class Member:
    """A parameter that shrinks with a group.

    Attributes:
        parameter: its name in the state dict.
        dim: the dimension that shrinks.
        starts: where each run of units begins in it; fused projections have several.
        width: entries of one unit in each run.
        reads: the dimension is the input of a linear layer, so that the unit's activation is read.
    """

    parameter: str
    dim: int
    starts: tuple[int, ...] = (0,)
    width: int = 1
    reads: bool = False

    def index(self, units: Sequence[int]) -> Tensor:
        """Entries along ``dim`` that belong to ``units``, int64, in ascending order of the runs."""
        inside = torch.arange(self.width)
        chosen = torch.as_tensor(list(units), dtype=torch.int64)
        runs = [
            (start + chosen[:, None] * self.width + inside).reshape(-1) for start in self.starts
        ]
        return torch.cat(runs)


@dataclass(frozen=True)
class Group:
    """Units of one kind in one place.

    Attributes:
        name: where, such as ``encoder.layer.3.ffn``.
        count: how many units there are.
        members: every parameter that shrinks with them.
        whole: parameters that belong to one unit entirely, by unit (a layer's); None elsewhere.
    """

    name: str
    count: int
    members: tuple[Member, ...] = ()
    whole: tuple[tuple[str, ...], ...] | None = None

    def elements(self, state: Mapping[str, Tensor]) -> int:
        """Weights that one unit holds; the mean where units differ."""
        if self.whole is not None:
            held = sum(state[name].numel() for names in self.whole for name in names)
            return held // self.count
        return sum(
            state[m.parameter].numel() // state[m.parameter].shape[m.dim] * len(m.starts) * m.width
            for m in self.members
        )


def lifted(group: Group, scores: Scores, how: str = "sum") -> Tensor:
    """Scores of elements lifted to the units of a group, float64 ``(units,)``.

    Every element of a unit counts once in each of its parameters; parameters without a score are
    passed over.

    Args:
        group: the units.
        scores: parameter name -> a number for each element, in the parameter's shape.
        how: ``sum`` or ``mean`` over a unit's elements.
    """
    total = torch.zeros(group.count, dtype=torch.float64)
    elements = torch.zeros(group.count, dtype=torch.float64)
    if group.whole is not None:
        for unit, names in enumerate(group.whole):
            for name in names:
                if name in scores:
                    total[unit] += scores[name].double().sum()
                    elements[unit] += scores[name].numel()
    for member in group.members:
        if member.parameter not in scores:
            continue
        score = scores[member.parameter].double()
        others = [d for d in range(score.dim()) if d != member.dim]
        each = score.sum(dim=others) if others else score  # a sum over no dimension is one over all
        index = member.index(range(group.count))
        per = each[index].reshape(len(member.starts), group.count, member.width)
        total += per.sum(dim=(0, 2))
        share = score.numel() // score.shape[member.dim]
        elements += share * member.width * len(member.starts)
    return total / elements.clamp_min(1) if how == "mean" else total


def zeroed(group: Group, state: Mapping[str, Tensor], units: Sequence[int]) -> dict[str, Tensor]:
    """The parameters of a group with some units' own weights set to zero: copies, by name."""
    changed: dict[str, Tensor] = {}
    for member in group.members:
        tensor = changed.get(member.parameter)
        tensor = state[member.parameter].clone() if tensor is None else tensor
        tensor.index_fill_(member.dim, member.index(units).to(tensor.device), 0.0)
        changed[member.parameter] = tensor
    for unit in units if group.whole is not None else ():
        assert group.whole is not None
        for name in group.whole[unit]:
            changed[name] = torch.zeros_like(state[name])
    return changed
