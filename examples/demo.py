"""The Python interface in one file: make a bundle, verify it, run texts, read its manifest.

`make demo` runs it; `.venv/bin/python examples/demo.py` does the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import metadata
from itertools import combinations
from pathlib import Path

import numpy as np

import edgekit

BUNDLE = Path("build") / "all-MiniLM-L6-v2-android-arm64"
SENTENCES = [
    "A man is playing a guitar on the street corner.",
    "Someone makes music outdoors with a string instrument.",
    "The train to the coast leaves at seven in the morning.",
]


def main() -> int:
    """Run the demo; returns the exit status."""
    try:
        bundle = reusable(BUNDLE) or edgekit.export(
            "minilm", out=BUNDLE, force=True, progress=say_progress
        )
        hops = bundle.verify(progress=say_progress)
        with bundle:
            embeddings = [answer["embedding"] for answer in bundle.run(SENTENCES)]
    except edgekit.errors.EdgekitError as error:
        say(f"{error}\n{error.hint}")
        return error.exit_status
    except KeyboardInterrupt:
        say("Stopped; no half-made bundle is left.")
        return 130
    print_closest(embeddings)
    print_artifacts(bundle, {hop.artifact: hop.worst_cosine for hop in hops})
    print(f"\n{BUNDLE} is what goes to the phone. Next:")
    print(f'  .venv/bin/edgekit run {BUNDLE} "Your own sentence."')
    print(f"  .venv/bin/edgekit verify {BUNDLE} --arm64")
    return 0


def reusable(path: Path) -> edgekit.Bundle | None:
    """An earlier run's bundle, if it is whole and the same tools would make it again."""
    try:
        bundle = edgekit.Bundle.open(path)
    except edgekit.errors.EdgekitError:
        return None
    tools = {name: made for name, made in bundle.manifest.toolchain.items() if name != "python"}
    if not bundle.manifest.certified or tools != installed(tools):
        return None
    say(f"Using the bundle in {path}: every file matches its hash.")
    return bundle


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that are installed here."""
    present = {found.name.lower() for found in metadata.distributions()}
    return {name: metadata.version(name) for name in names if name in present}


def say(text: str) -> None:
    """Talk goes to stderr; stdout carries the result."""
    print(text, file=sys.stderr, flush=True)


def say_progress(progress: edgekit.Progress) -> None:
    """One line for each stage of a long job."""
    left = f", about {progress.remaining:.0f} s to go" if progress.remaining else ""
    step = f"[{progress.index}/{progress.total}]"
    say(f"{step} {progress.elapsed:5.1f} s  {progress.note or progress.stage}{left}")


def print_closest(embeddings: list[list[float]]) -> None:
    """Which two sentences are nearest; the embeddings have length 1, so a product is the cosine."""
    near = {
        (i, j): float(np.dot(embeddings[i], embeddings[j]))
        for i, j in combinations(range(len(embeddings)), 2)
    }
    for number, sentence in enumerate(SENTENCES, start=1):
        print(f"{number}. {sentence}")
    for (i, j), cosine in near.items():
        print(f"   {i + 1} and {j + 1}: similarity {cosine:.3f}")
    i, j = max(near, key=lambda pair: near[pair])
    print(f"Closest: {i + 1} and {j + 1}.\n")


def print_artifacts(bundle: edgekit.Bundle, worst: dict[str, float]) -> None:
    """What is in the bundle and what it gives; cosines are against the fp32 PyTorch model."""
    row = "{:12} {:>9} {:>10} {:>13} {:>16} {:>15}"
    print(
        row.format(
            "artifact", "size", "% of fp32", "worst cosine", "delegated share", "planned memory"
        )
    )
    for artifact in bundle.manifest.artifacts:
        delegation, memory = artifact.delegation, artifact.planned_memory
        print(
            row.format(
                artifact.file,
                f"{artifact.bytes / 1e6:.1f} MB",
                f"{100 * artifact.bytes / artifact.fp32_bytes:.1f}",
                f"{worst[artifact.file]:.4f}",
                "none" if delegation is None else f"{100 * delegation.share:.1f} %",
                "as it goes" if memory is None else f"{memory / 1e6:.1f} MB",
            )
        )


if __name__ == "__main__":
    sys.exit(main())
