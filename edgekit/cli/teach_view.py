"""Shows what a teacher wrote: rows, what was dropped and why, tokens and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Output

if TYPE_CHECKING:
    from edgekit.api.teach import Taught

_SHOWN = 3


def summary(output: Output, made: Taught) -> None:
    """Counts and reasons; for a dry run what would be asked."""
    report = made.report
    if made.path is None:
        _forecast(output, report)
        return
    lines = {"rows": f"{report['rows']} of {report['came_in']}"}
    if "labels" in report:
        named = (f"{name} {count}" for name, count in list(report["labels"].items())[:12])
        lines["labels"] = ", ".join(named)
    if "answers" in report:
        answers, paid = report["answers"], report["paid_now"]
        lines["answers"] = f"{answers['asked_now']} asked now, {answers['known_before']} known"
        lines["tokens now"] = f"{paid['prompt']} read, {paid['answer']} written"
        lines["cost now"] = _cost(paid["cost"])
    output.table(["", ""], [[name, text] for name, text in lines.items() if text])
    if report["dropped"]:
        rows = [
            [name, str(count), _examples(report, name)] for name, count in report["dropped"].items()
        ]
        output.table(["dropped by", "rows", "for example"], rows, right=(1,))
    output.text(f"rows: {made.path}")


def record(made: Taught) -> dict[str, Any]:
    """The report for ``--json``."""
    return {"file": None if made.path is None else str(made.path), **made.report}


def _examples(report: dict[str, Any], name: str) -> str:
    found = [one for one in report["dropped_rows"] if one["by"] == name][:_SHOWN]
    return "; ".join(f"{one['row']}: {one['why']}" for one in found)


def _forecast(output: Output, report: dict[str, Any]) -> None:
    tokens = report["tokens"]
    lines = {
        "prompts": str(report["prompts"]),
        "questions": str(report["questions"]),
        "tokens read": f"{tokens['prompt']} ({tokens['counted']})",
        "tokens written": f"{tokens['answer_at_most']} at most",
        "cost": f"{_cost(report['cost_at_most'])} at most" if report["cost_at_most"] else "",
    }
    output.table(["", ""], [[name, text] for name, text in lines.items() if text])
    output.text("the first question:")
    for message in report["first_question"]:
        output.text(f"  {message['role']}: {message['content']}")
    output.text("nothing was asked")


def _cost(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
