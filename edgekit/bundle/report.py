"""``report.json``: what was measured while a bundle was made. For people; nothing runs by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekit.errors import BundleCorrupt

REPORT = "report.json"

_WORDS = ("tensor", "kind", "scheme", "reason")
_NUMBERS = ("rows", "columns", "bits", "group", "bytes_before", "bytes_after")
_DECIBELS = ("weight_db", "output_db")


def ledger(folder: Path) -> dict[str, Any]:
    """``coverage`` and ``ledger`` of a bundle; empty where an older edgekit made it.

    Raises:
        BundleCorrupt: the report is not what edgekit writes.
    """
    path = folder / REPORT
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(f"{path} is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(report, dict) or "ledger" not in report:
        return {}
    rows, coverage = report["ledger"], report.get("coverage")
    if (
        not isinstance(coverage, int | float)
        or not isinstance(rows, list)
        or not all(map(_sound, rows))
    ):
        raise BundleCorrupt(f"{path} has a ledger that edgekit did not write")
    return {"coverage": coverage, "ledger": rows}


def _sound(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(name), str) for name in _WORDS)
        and all(isinstance(row.get(name), int) for name in _NUMBERS)
        and all(isinstance(row.get(name, ""), int | float | None) for name in _DECIBELS)
    )
