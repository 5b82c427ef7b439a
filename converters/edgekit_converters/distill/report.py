"""What a distillation came to: ``distillation.json`` in the new folder, and its model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.errors import InputRefused

REPORT = "distillation.json"
_COLUMNS = ("fidelity", "cosine", "agreement", "accuracy", "bits", "steps")


@dataclass(frozen=True)
class Distilled:
    """A finished folder and its report.

    Attributes:
        path: the folder.
        report: what ``distillation.json`` holds.
    """

    path: Path
    report: dict[str, Any]


def opened(folder: Path) -> Distilled:
    """Read the report of a distilled folder.

    Raises:
        InputRefused: it has none, or a damaged one.
    """
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefused(
            f"{folder.name} has no readable {REPORT}: {error}", hint="Distill again."
        ) from error
    return Distilled(folder, found)


def write(folder: Path, report: dict[str, Any]) -> None:
    """Write the report and the card."""
    (folder / REPORT).write_bytes(dump_bytes(report))
    (folder / "README.md").write_text(card(report), encoding="utf-8")


def card(report: dict[str, Any]) -> str:
    """The model card as Markdown."""
    head = ["---"]
    if report["licence"]:
        head.append(f"license: {json.dumps(report['licence'])}")
    head += [
        f"base_model: {json.dumps(report['teacher']['id'])}",
        f"pipeline_tag: {report['task']}",
    ]
    head += ["tags:", "- distillation", "---", ""]
    student, teacher = report["student"], report["teacher"]
    share = 100 * student["parameters"] / teacher["parameters"]
    body = [
        f"# {report['name']}",
        "",
        f"A student of {teacher['id']}, made by edgekit distill: {student['from']}. "
        f"{student['parameters']:,} parameters, {share:.1f} % of the teacher's.",
        "",
        *_repaired(student.get("repair")),
        report["verdict"],
        "",
        *_table(report["runs"]),
        "",
        f"Measured on {report['runs'][0]['texts']} rows that were not trained on, in PyTorch, "
        f"before any quantization. Data: {', '.join(report['data']['files'])} "
        f"({report['data']['rows']} rows, sha256 {report['data']['sha256'][:16]}). "
        f"Losses: {_losses(report['config']['losses'])}; "
        f"seed {report['config']['seed']}.",
        "",
        "`fidelity` is how like its teacher the model answers, from 0 to 1: for vectors Spearman's "
        "correlation of the cosines of all pairs of texts, for classes and tokens the overlap of "
        "the two distributions. The other runs are controls of equal steps.",
        "",
    ]
    return "\n".join([*head, *body])


def _repaired(found: dict[str, Any] | None) -> list[str]:
    if found is None or not found["kept"]:
        return []
    return [
        "Before training the layers that stayed were refitted by least squares to what the ones "
        f"that went did: fidelity {found['before']:.4f} -> {found['after']:.4f} on "
        "training texts that it was not fitted to.",
        "",
    ]


def columns(runs: list[dict[str, Any]]) -> list[str]:
    """The figures that these runs have, in order."""
    return [name for name in _COLUMNS if any(name in run for run in runs)]


def _table(runs: list[dict[str, Any]]) -> list[str]:
    names = columns(runs)
    lines = [f"| run | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for run in runs:
        cells = [cell(run.get(name)) for name in names]
        lines.append(f"| {run['run']} | {' | '.join(cells)} |")
    return lines


def cell(value: Any) -> str:
    """A figure in a table."""
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _losses(terms: list[dict[str, Any]]) -> str:
    return " + ".join(f"{term['weight']:g} {term['name']}" for term in terms)
