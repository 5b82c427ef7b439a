"""Linear maps from the student's width to the teacher's: learned along, and thrown away."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from edgekit_converters.distill.outputs import Shape


class Projections(nn.Module):
    """Maps by name, and the pairs of layers that a loss goes through."""

    def __init__(
        self, maps: Mapping[str, nn.Module], pairs: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__()
        self.maps = nn.ModuleDict(maps)
        self.pairs = pairs

    def forward(self, name: str, values: Tensor) -> Tensor:
        """Values through the map of that name."""
        mapped: Tensor = self.maps[name](values)
        return mapped


def between(student: Shape, teacher: Shape) -> nn.Module:
    """From one hidden width to the other; nothing where they are the same."""
    if student.hidden == teacher.hidden:
        return nn.Identity()
    return nn.Linear(student.hidden, teacher.hidden)


def to_width(student: Shape, teacher: Shape) -> nn.Module:
    """The same for vectors of whole texts, which are as wide as a token's."""
    if student.hidden == teacher.hidden:
        return nn.Identity()
    return nn.Linear(student.hidden, teacher.hidden, bias=False)
