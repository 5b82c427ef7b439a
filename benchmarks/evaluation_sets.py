"""Small labelled sets for a table of schemes, written by scripts of ours; nothing is fetched.

    .venv/bin/python -m benchmarks.evaluation_sets DIR [--rows 300]

``graded.jsonl`` has sentence pairs with a known grade, ``dialogues.jsonl`` what the small decoder
of ``examples/tiny_decoder.py`` was never trained on, ``suites`` questions of ours in the files of
lm-eval's suites. They tell how much of a model its smaller copies keep, not how good it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.graded_pairs import pairs
from examples.tiny_decoder import dialogues
from tests.converters.scoring import benchmark_data


def write(folder: Path, rows: int) -> list[Path]:
    """Write the sets and give what was made."""
    folder.mkdir(parents=True, exist_ok=True)
    graded = ({"text_a": a, "text_b": b, "score": grade} for a, b, grade in pairs(rows, seed=1))
    unseen = ({"text": text} for text in islice(dialogues(1, held_out=True), rows))
    return [
        _lines(folder / "graded.jsonl", graded),
        _lines(folder / "dialogues.jsonl", unseen),
        benchmark_data.write(folder / "suites", rows),
    ]


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    asked = parser.parse_args()
    for path in write(asked.folder, asked.rows):
        print(path)


if __name__ == "__main__":
    main()
