"""Results that outlive a run: a JSON file by each name, under a folder of ``build/benchmarks``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("build/benchmarks")


@dataclass(frozen=True)
class Kept:
    """Results of one benchmark.

    Attributes:
        name: of its folder.
    """

    name: str

    def read(self, row: str) -> dict[str, Any] | None:
        """What was written last under a row's name; None where nothing was."""
        path = self._path(row)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write(self, row: str, found: dict[str, Any]) -> None:
        """Keep a row."""
        path = self._path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")

    def _path(self, row: str) -> Path:
        return ROOT / self.name / f"{row.replace('/', '-').replace(' ', '-')}.json"
