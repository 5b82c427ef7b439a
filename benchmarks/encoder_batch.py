"""Eight texts one by one beside eight at once, padded to the longest and with a mask.

    .venv/bin/python -m benchmarks.encoder_batch [--texts 8] [--seconds 10] [> table.md]

Short texts gain: one pass reads the weights once for all of them. Texts of many lengths lose what
padding adds, unless there are enough of them to put those of like length together. One interleaved
run on this machine's CPU for each set of texts; ratios are what to read. ``--bundles`` measures two
bundles that exist, made without and with ``--batch``. Not a phone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import edgekit
from benchmarks import candidates
from benchmarks.interleave import median, medians
from edgekit.parity import cosines
from edgekit.runtime import Floats, Session, batches, open_artifact
from edgekit.runtime.encode import Inputs
from edgekit_converters.quiet import quiet

SHORTEST, LONGEST = 4, 128
SAME = (8, 16, 64, 128)
# Passes in the largest set of texts.
MANY = 8

Job = Callable[[], list[Floats]]


def main() -> None:
    """Build, check, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--scheme", default="int8")
    parser.add_argument("--texts", type=int, default=8, help="of one pass")
    parser.add_argument("--seconds", type=float, default=10.0, help="per set of texts")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--bundles", type=Path, nargs=2, metavar=("ALONE", "TOGETHER"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        if options.bundles:
            alone, together = map(edgekit.Bundle.open, options.bundles)
        else:
            alone, together = (
                candidates.bundle(options.folder, options.scheme, options.model, texts)
                for texts in (1, options.texts)
            )
        texts = together.manifest.signature.texts
        opened = {
            name: (bundle, session)
            for name, bundle, runtime in _pairs(alone, together)
            for session in [open_artifact(bundle.path, bundle.manifest, runtime)]
        }
        rows = {name: _row(opened, lengths, options.seconds) for name, lengths in _sets(texts)}
    _print(rows, alone, together, texts, options.seconds)


def _pairs(
    alone: edgekit.Bundle, together: edgekit.Bundle
) -> list[tuple[tuple[str, bool], edgekit.Bundle, str]]:
    """Runtimes that both bundles have, and whether texts go together."""
    return [
        ((runtime, bundle is together), bundle, runtime)
        for runtime in alone.runtimes
        if runtime in together.runtimes
        for bundle in (alone, together)
    ]


def _sets(texts: int) -> list[tuple[str, list[int]]]:
    """Names and token counts of the sets of texts."""
    same = [(f"{texts} of {length} tokens", [length] * texts) for length in SAME]
    return [*same, _ragged(texts), _ragged(MANY * texts)]


def _ragged(texts: int) -> tuple[str, list[int]]:
    """Texts of all lengths, short ones more often; more than one pass takes are sorted."""
    lengths = np.geomspace(SHORTEST, LONGEST, texts).round().astype(int).tolist()
    return f"{texts} of {SHORTEST} to {LONGEST} tokens ({sum(lengths)} in all)", lengths


def _row(
    opened: dict[tuple[str, bool], tuple[edgekit.Bundle, Session]],
    lengths: list[int],
    seconds: float,
) -> dict[tuple[str, bool], tuple[float, float]]:
    """Milliseconds for all texts and the worst cosine against each text alone, by artifact."""
    draw = np.random.default_rng(0)
    samples: list[Inputs] = [
        {"input_ids": draw.integers(1000, 20000, size=(1, length))} for length in lengths
    ]
    jobs: dict[str, Job] = {
        f"{runtime} {together}": partial(_answers, *found, samples)
        for (runtime, together), found in opened.items()
    }
    answers = {name: job() for name, job in jobs.items()}
    times = medians(jobs, seconds, warm_ups=2)
    return {
        (runtime, together): (
            median(times[f"{runtime} {together}"]),
            float(cosines(answers[f"{runtime} False"], answers[f"{runtime} {together}"]).min()),
        )
        for runtime, together in opened
    }


def _answers(bundle: edgekit.Bundle, session: Session, samples: list[Inputs]) -> list[Floats]:
    signature = bundle.manifest.signature
    name = signature.outputs[0].name
    return batches.answers(
        lambda given: [session.run(one)[name] for one in given], samples, signature
    )


def _print(
    rows: dict[str, dict[tuple[str, bool], tuple[float, float]]],
    alone: edgekit.Bundle,
    together: edgekit.Bundle,
    texts: int,
    seconds: float,
) -> None:
    print("| texts | artifact | one by one, ms | at once, ms | x one by one | worst cosine |")
    print("|---|---|---|---|---|---|")
    for name, found in rows.items():
        for runtime in dict.fromkeys(runtime for runtime, _ in found):
            (one, _), (all_of_them, worst) = found[runtime, False], found[runtime, True]
            ratio = f"{all_of_them / one:.2f}"
            print(f"| {name} | {runtime} | {one:.2f} | {all_of_them:.2f} | {ratio} | {worst:.5f} |")
    planned = {
        bundle.manifest.name: bundle.manifest.artifacts[0].planned_memory
        for bundle in (alone, together)
    }
    memory = ", ".join(f"{name} {(size or 0) / 1e6:.1f} MB" for name, size in planned.items())
    print(
        f"\nConditions: {together.manifest.artifacts[0].scheme}, {texts} texts a pass, "
        f"{os.cpu_count()} processors, one interleaved run of {seconds:.0f} s a set, medians; "
        f"cosine of each answer at once against the same text alone, both of the artifact named; "
        f"planned activations of the first artifact: {memory}; "
        f"load of the machine at the end {os.getloadavg()[0]:.1f}. Not a phone."
    )


if __name__ == "__main__":
    main()
