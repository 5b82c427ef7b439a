"""Is this machine ready? Everything that a job needs, each lack with the command that mends it.

Nothing heavy is imported and nothing is run: versions come from package metadata, tools from PATH.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "warning", "missing", "absent"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: machine, packages, extras or tools.
        name: what was looked at.
        status: ok; warning (works, but not the tested way); missing (something asked for it and
            will fail); absent (optional and not here).
        found: what is there.
        wanted: what should be there, often empty.
        fix: the command that mends it; empty when nothing needs mending.
        blocks_export: whether ``edgekit export`` cannot run without it.
    """

    group: str
    name: str
    status: Status
    found: str
    wanted: str = ""
    fix: str = ""
    blocks_export: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All the checks, and what they mean for the main job."""

    checks: tuple[Check, ...]

    @property
    def can_export(self) -> bool:
        """Whether nothing that ``edgekit export`` needs is missing."""
        return not self.blockers

    @property
    def blockers(self) -> tuple[Check, ...]:
        """The checks that stand in the way of an export."""
        return tuple(c for c in self.checks if c.blocks_export and c.status == "missing")

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-able data."""
        return {"can_export": self.can_export, "checks": [asdict(check) for check in self.checks]}


def diagnose() -> Diagnosis:
    """Look at this machine and this installation.

    Example:
        >>> from edgekit.doctor import diagnose
        >>> [check.name for check in diagnose().checks][:1]
        ['Python']
    """
    from edgekit.doctor import machine, packages, tools

    return Diagnosis((*machine.checks(), *packages.checks(), *tools.checks()))
