"""What ``edgekit pack`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.cli.output import Output
from edgekit.packs import Pack


def listed(output: Output, packs: Sequence[Pack]) -> None:
    """A row a pack."""
    if output.as_json:
        output.document({"packs": [record(pack) for pack in packs]})
        return
    header = ("pack", "task", "metric", "train", "what it is")
    rows = [
        (pack.name, pack.task, pack.metric, str(pack.sizes["train"]), pack.title) for pack in packs
    ]
    output.table(header, rows)


def made(output: Output, name: str, folder: Path, rows: Mapping[str, int]) -> None:
    """Where the pack is, and how it goes on."""
    if output.as_json:
        output.document({"pack": name, "folder": str(folder), "rows": dict(rows)})
        return
    output.text("\n".join(f"{folder / split}.jsonl: {count} rows" for split, count in rows.items()))
    output.text(f"{folder / 'README.md'}: what a score on it means")


def record(pack: Pack) -> dict[str, object]:
    """A pack as data."""
    return {
        "name": pack.name,
        "title": pack.title,
        "task": pack.task,
        "metric": pack.metric,
        "budget": pack.budget,
        "rows": dict(pack.sizes),
    }
