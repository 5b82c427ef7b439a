"""What a longer context costs a decoder: planned memory, and milliseconds a token.

    .venv/bin/python -m benchmarks.decoder_context [--layers 4] [> table.md]

The same shape and scheme as `benchmarks.decoder` with fewer layers, exported for several contexts.
A program of one context is timed where each of the others ends, in turn. Not a phone.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import decoder_model
from benchmarks.interleave import median, medians
from edgekit.bundle.manifest import Signature
from edgekit.runtime import Session
from edgekit.runtime.executorch_native import open_session

CONTEXTS = (128, 512, 2048)


def main() -> None:
    """Export for each context, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    folders = {size: decoder_model.model(options.layers, size) for size in CONTEXTS}
    calls = {}
    for size, folder in folders.items():
        session = _opened(folder, options.threads)
        # Every row of the cache holds something, as behind a text that long.
        _feed(session, list(range(5, 5 + size - 1)), 0)
        for filled in (one for one in CONTEXTS if one <= size):
            calls[f"{size} {filled}"] = partial(_feed, session, [7], filled - 1)
    times = {name: median(found) for name, found in medians(calls, options.seconds).items()}
    print("| context | planned, MB | of it the cache, MB | ", end="")
    print(" | ".join(f"ms a token at {size}" for size in CONTEXTS) + " |")
    print("|---" * (3 + len(CONTEXTS)) + "|")
    for size, folder in folders.items():
        facts = decoder_model.read(folder)
        cells = [f"{facts.planned / 1e6:.2f}", f"{facts.cache / 1e6:.2f}"]
        cells += [f"{times[f'{size} {at}']:.2f}" if at <= size else "" for at in CONTEXTS]
        print(f"| {size} | {' | '.join(cells)} |")
    print(
        f"\nConditions: {options.layers} layers, {os.cpu_count()} processors, {options.threads} "
        f"threads, medians of one interleaved run of {options.seconds:.0f} s, load of the machine "
        f"at the end {os.getloadavg()[0]:.1f}."
    )


def _opened(folder: Path, threads: int) -> Session:
    text = (folder / "signature.json").read_bytes()
    signature = Signature.model_validate_json(text)
    return open_session(folder / "model.pte", signature, threads=threads)


def _feed(session: Session, ids: list[int], position: int) -> None:
    session.run({"input_ids": np.array([ids]), "position": np.array([position])})


if __name__ == "__main__":
    main()
