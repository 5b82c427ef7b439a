"""MiniLM with 3 of its 6 layers: found, taught, exported, and held against the whole as artifacts.

`make demo-distill` runs it; `.venv/bin/python -m examples.demo_distill` does the same.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import edgekit
from benchmarks.definitions import HINT, SOURCES, at_hand, training_texts
from benchmarks.docstrings import EVALUATION, sentences
from benchmarks.graded_pairs import pairs
from edgekit.api.distill import distill

BUILD = Path("build")
STUDENT = BUILD / "minilm-3"
STEPS = 500
TEXTS = 20000
UNSEEN = 64
GRADED = 300


def main() -> int:
    """Run the demo; returns the exit status."""
    begin = time.monotonic()
    BUILD.mkdir(exist_ok=True)
    data = BUILD / "distill-texts.txt"
    source = "both" if at_hand() else "docstrings"
    data.write_text("\n".join(training_texts(source, TEXTS)), encoding="utf-8")
    try:
        made = distill(
            "minilm",
            [data],
            out=STUDENT,
            layers=3,
            steps=STEPS,
            controls=False,
            force=True,
            progress=say_progress,
        )
        bundles = {
            "6 layers": export("minilm", BUILD / "all-MiniLM-L6-v2-android-arm64"),
            "3 layers": export(STUDENT, BUILD / "minilm-3-android-arm64"),
        }
        found = {name: measured(bundle) for name, bundle in bundles.items()}
    except edgekit.errors.EdgekitError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    print_table(found)
    print(made.report["verdict"])
    print(f"int8 .pte here; taught in {STEPS} steps on {SOURCES[source]}.")
    if source == "docstrings":
        print(f"With texts about more than programs it learns more: {HINT}, then run this again.")
    print(f"{time.monotonic() - begin:.0f} s in all.")
    return 0


def export(model: str | Path, out: Path) -> edgekit.Bundle:
    """A bundle with the .pte alone."""
    return edgekit.export(
        model, out=out, runtimes=["executorch"], force=True, progress=say_progress
    )


def measured(bundle: edgekit.Bundle) -> dict[str, Any]:
    """Size, vectors and milliseconds of the artifact."""
    (artifact,) = bundle.manifest.artifacts
    graded = pairs(GRADED)
    with bundle:
        bundle.run(["a first text"])
        vectors, times = embedded(bundle, sentences(EVALUATION, UNSEEN, seed=1))
        ones, _ = embedded(bundle, [one for one, _, _ in graded])
        others, _ = embedded(bundle, [other for _, other, _ in graded])
    cosines = [float(one @ other) for one, other in zip(ones, others, strict=True)]
    return {
        "bytes": artifact.bytes,
        "milliseconds": statistics.median(times),
        "graded": spearmanr(cosines, [grade for _, _, grade in graded]).statistic,
        "cosines": [float(one @ other) for one, other in combinations(vectors, 2)],
    }


def embedded(bundle: edgekit.Bundle, texts: list[str]) -> tuple[list[Any], list[float]]:
    """A vector a text, and the milliseconds that each took."""
    vectors, times = [], []
    for text in texts:
        start = time.perf_counter()
        (answer,) = bundle.run([text])
        times.append(1000 * (time.perf_counter() - start))
        vectors.append(np.asarray(answer["embedding"], dtype=np.float64))
    return vectors, times


def print_table(found: dict[str, dict[str, Any]]) -> None:
    """Before and after, from the artifacts."""
    whole = found["6 layers"]["cosines"]
    print(f"{'artifact':12}{'MB':>8}{'ms a text':>12}{'graded pairs':>15}{'like the 6 layers':>20}")
    for name, row in found.items():
        like = spearmanr(whole, row["cosines"]).statistic
        figures = f"{row['milliseconds']:12.2f}{row['graded']:15.4f}{like:20.4f}"
        print(f"{name:12}{row['bytes'] / 1e6:8.2f}{figures}")
    print(f"graded pairs: Spearman's correlation of {GRADED} pairs' cosines with their grades")
    print(f"like the 6 layers: that of the cosines of all pairs of {UNSEEN} docstring sentences")


def say_progress(progress: edgekit.Progress) -> None:
    """One line a stage, on stderr."""
    words = progress.note if progress.stage == "note" else f"[{progress.index}] {progress.stage}"
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
