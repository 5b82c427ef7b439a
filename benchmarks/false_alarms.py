"""Sound models through the whole export: how often is one refused that should pass?

    .venv/bin/python -m benchmarks.false_alarms [--runs 50]

Small random models of three families, each with other weights, under every scheme in turn. Says as
well how near the nearest came to its floor: what share of the loss that is allowed it took.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import edgekit
from edgekit.bundle.manifest import HopQuality
from edgekit.errors import EdgekitError
from tests.support.models import tiny_bert, tiny_distilbert, tiny_sentence_bert

MAKERS = (tiny_bert, tiny_sentence_bert, tiny_distilbert)
SCHEMES = ("int8", "int8-int4", "none")


def main() -> None:
    """Export, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    alarms, nearest = 0, (0.0, "")
    for seed in range(options.runs):
        maker = MAKERS[seed % len(MAKERS)]
        scheme = SCHEMES[seed // len(MAKERS) % len(SCHEMES)]
        with tempfile.TemporaryDirectory() as scratch:
            folder = maker(Path(scratch) / "model", seed=seed)
            try:
                with edgekit.export(folder, out=Path(scratch) / "bundle", quantize=scheme) as made:
                    name = f"seed {seed}, {maker.__name__}, {scheme}"
                    nearest = max(
                        nearest, *((_share(h), f"{name}, {h.hop}") for h in made.manifest.quality)
                    )
            except EdgekitError as alarm:
                alarms += 1
                print(f"seed {seed}, {maker.__name__}, {scheme}: {alarm}", flush=True)
    print(
        f"{alarms} false alarms in {options.runs} sound exports; the nearest of the others took "
        f"{nearest[0]:.0%} of what it may lose: {nearest[1]}."
    )


def _share(hop: HopQuality) -> float:
    """Loss over the loss that is allowed, of the worst text or of the mean."""
    if hop.floor_worst is None or hop.floor_mean is None:
        return 0.0
    worst = (1 - hop.worst_cosine) / (1 - hop.floor_worst)
    return max(worst, (1 - hop.mean_cosine) / (1 - hop.floor_mean))


if __name__ == "__main__":
    main()
