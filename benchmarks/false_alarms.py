"""Sound models through the whole export: how often is one refused that should pass?

    .venv/bin/python -m benchmarks.false_alarms [--runs 50]

Small random models of three families, each with other weights, under every scheme in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import edgekit
from edgekit.errors import EdgekitError
from tests.support.models import tiny_bert, tiny_distilbert, tiny_sentence_bert

MAKERS = (tiny_bert, tiny_sentence_bert, tiny_distilbert)
SCHEMES = ("int8", "int8-int4", "none")


def main() -> None:
    """Export, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    alarms = 0
    for seed in range(options.runs):
        maker = MAKERS[seed % len(MAKERS)]
        scheme = SCHEMES[seed // len(MAKERS) % len(SCHEMES)]
        with tempfile.TemporaryDirectory() as scratch:
            folder = maker(Path(scratch) / "model", seed=seed)
            try:
                edgekit.export(folder, out=Path(scratch) / "bundle", quantize=scheme).close()
            except EdgekitError as alarm:
                alarms += 1
                print(f"seed {seed}, {maker.__name__}, {scheme}: {alarm}", flush=True)
    print(f"{alarms} false alarms in {options.runs} sound exports.")


if __name__ == "__main__":
    main()
