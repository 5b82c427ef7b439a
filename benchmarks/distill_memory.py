"""Memory of a distillation from ten thousand to a million rows, each in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

SIZES = (10_000, 100_000, 1_000_000)


def measured(rows: int, place: Path, steps: int) -> tuple[float, float]:
    """Peak megabytes of a run on so many rows: this process alone, started for it."""
    words = [sys.executable, "-m", "benchmarks.distill_memory", str(rows), str(place), str(steps)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    peak, size = done.stdout.split()
    return float(peak), float(size)


def main() -> int:
    """Write rows, distill a tiny student, print the peak and the file's megabytes."""
    rows, place, steps = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    import torch

    from edgekit_converters.distill.distilling import distill
    from edgekit_converters.distill.recipe import Recipe
    from edgekit_converters.distill.wanted import Beginning
    from edgekit_converters.quiet import quiet

    torch.set_num_threads(1)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{rows}.txt"
    with path.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            stream.write(f"Sentence number {number} says that {number % 97} follows {rows}.\n")
    said = Recipe(steps=steps, batch=8, controls=False, max_length=24)
    with quiet():
        distill(
            "minilm",
            [path],
            out=place / f"student-{rows}",
            beginning=Beginning(layers="0,5"),
            said=said,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(peak, path.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
