"""Measures a cold start of the Kotlin core: ``python -m tests.android.cold_start BUNDLE``.

Each start is a new JVM on this machine, from its beginning to the first answer (of a model that
generates: to its first token). The system's cache of files is warm. A phone's times are others.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.android.speed import classpath

STARTS = 9
TEXT = "The train to the coast leaves at seven in the morning."
STEPS = ("JVM", "bundle checked", "tokenizer and model loaded", "first answer", "all")


def main(words: list[str]) -> int:
    """Start, and print the median and the extremes of each step."""
    if len(words) != 1 or not Path(words[0], "edgekit.json").is_file():
        print("python -m tests.android.cold_start BUNDLE", file=sys.stderr)
        return 64
    with tempfile.TemporaryDirectory() as name:
        classes = classpath(Path(name))
    command = ["java", "-Xmx1g", "-cp", classes, "edgekit.core.ColdStart", words[0], TEXT]
    rows = []
    for _ in range(STARTS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        rows.append([float(word) for word in done.stdout.split()])
    print(f"{words[0]}: {STARTS} new processes")
    for step, times in zip(STEPS, zip(*rows, strict=True), strict=True):
        low, middle, high = min(times), statistics.median(times), max(times)
        print(f"{step:27} median {middle:7.0f} ms, {low:.0f} to {high:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
