"""Shows a tuned folder: the metrics before and after, and what to do next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Output

if TYPE_CHECKING:
    from edgekit.api.tune import Tuned


def summary(output: Output, made: Tuned) -> None:
    """What was learned from what, and where it is."""
    report = made.report
    data, trained = report["data"], report["trained"]
    lines = {
        "task": report["task"],
        "labels": ", ".join(report["labels"][:12]) + (", ..." if report["labels"][12:] else ""),
        "data": f"{data['train_rows']} rows to train on, {data['held_out_rows']} held out",
        "trained": _trained(trained, report["settings"]),
        "new head": "yes: before is chance" if report["new_head"] else "",
    }
    output.table(["", ""], [[name, text] for name, text in lines.items() if text])
    before, after = report["metrics"]["before"], report["metrics"]["after"]
    rows = [[name, _figure(before.get(name)), _figure(after[name])] for name in after]
    output.table(["held out", "before", "after"], rows, right=(1, 2))
    output.text(f"folder: {made.path}")
    output.text(f"next:   {shlex.join(['edgekit', 'export', str(made.path)])}")


def record(made: Tuned) -> dict[str, Any]:
    """A tuned folder for ``--json``."""
    return {"folder": str(made.path), **made.report}


def _trained(trained: dict[str, Any], settings: dict[str, Any]) -> str:
    how = f"LoRA of rank {settings['lora']}, merged" if settings["lora"] else "all weights"
    return f"{trained['steps']} steps, the best at {trained['best_step']} ({how})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
