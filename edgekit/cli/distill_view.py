"""Shows what a distillation came to: the student beside its teacher and its controls."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Output

if TYPE_CHECKING:
    from edgekit.api.distill import Distilled

_FIGURES = ("fidelity", "cosine", "agreement", "accuracy", "bits", "steps")
_SUBSETS = 5


def show(output: Output, made: Distilled) -> None:
    """The report as a table, or as the JSON document; once, where several processes worked."""
    if os.environ.get("RANK", "0") != "0":
        return
    if output.as_json:
        output.document({"folder": str(made.path), "report": made.report})
        return
    facts = made.report
    share = 100 * facts["student"]["parameters"] / facts["teacher"]["parameters"]
    output.text(
        f"student: {facts['student']['from']}; {facts['student']['parameters']:,} parameters, "
        f"{share:.1f} % of the teacher's"
    )
    _subsets(output, facts["student"]["search"])
    _repair(output, facts["student"].get("repair"))
    output.text()
    runs(output, facts["runs"])
    output.text(
        f"Measured on {facts['runs'][0]['texts']} rows that were not trained on, in PyTorch."
    )
    output.text(facts["verdict"])
    output.text(f"folder: {made.path}")
    output.text(f"next:   {shlex.join(['edgekit', 'export', str(made.path)])}")


def runs(output: Output, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a run, with the figures that any of them has."""
    names = [name for name in _FIGURES if any(name in row for row in rows)]
    output.table(
        ["run", *names],
        [[row["run"], *(_cell(row.get(name)) for name in names)] for row in rows],
        right=tuple(range(1, len(names) + 1)),
    )


def _subsets(output: Output, tried: Sequence[Mapping[str, Any]]) -> None:
    if not tried:
        return
    best = ", ".join(
        f"{','.join(map(str, one['layers']))}: {one['fidelity']:.3f}" for one in tried[:_SUBSETS]
    )
    output.text(f"layers tried without training, fidelity of the best of {len(tried)}: {best}")


def _repair(output: Output, found: Mapping[str, Any] | None) -> None:
    if found is not None and found["kept"]:
        gain = f"{found['before']:.3f} -> {found['after']:.3f}"
        output.text(f"layers refitted before training: fidelity {gain}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
