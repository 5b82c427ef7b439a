"""What ``edgekit eval`` adds to the artifacts' own work: memory by rows, time beside the model's.

    .venv/bin/python -m benchmarks.evaluation memory [1000 10000 100000 1000000]
    .venv/bin/python -m benchmarks.evaluation overhead BUNDLE... [--rows 500]

Memory is the peak of a whole process, started for each number of rows, with a random classifier of
two layers, the cheapest artifact that there is. Overhead is what reading, tokenising, judging and
writing the journal took besides the model, as a share of the model's own processor time on one
thread; "of the whole" adds opening, the check of the file before, and all intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgekit.bundle.read import load_manifest
from edgekit.runtime.encode import Inputs
from edgekit.scoring.contestants import of_bundle
from edgekit.scoring.engines import Answers, Engine, of_artifact
from edgekit.scoring.evaluation import Options, evaluate

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_PASSES = 5
_WORDS = ("rain", "sun", "news", "dog", "tree", "happy", "market", "team", "the", "of", "and", "in")
_MAKE = """
import pathlib, sys
from tests.scoring import classifier
classifier.bundle(pathlib.Path(sys.argv[1]))
"""


def write_rows(path: Path, count: int, columns: Sequence[str], words: int) -> Path:
    """Rows of drawn words, a tenth of them two or three times as long."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for at in range(count):
            row: dict[str, object] = {}
            for name in columns:
                long = draw.choice((2, 3)) if at % 10 == 0 else 1
                row[name] = " ".join(draw.choices(_WORDS, k=words * long))
            row["label" if "text" in columns else "score"] = draw.randrange(3)
            file.write(json.dumps(row) + "\n")
    return path


def memory(sizes: Sequence[int]) -> None:
    """A table of peaks."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        # A process counts what its parent had in memory when it began: torch stays out of here.
        subprocess.run([sys.executable, "-c", _MAKE, str(home)], check=True)
        bundle = home / "classifier"
        print("| rows | file MB | peak MB | bytes a row more than before | seconds |")
        print("|---|---|---|---|---|", flush=True)
        before: tuple[int, float] | None = None
        for count in sizes:
            path = write_rows(home / "rows.jsonl", count, ("text",), 8)
            began = time.monotonic()
            peak = _peak(["eval", bundle, "--data", path, "--workers", "1", "-q"])
            more = "" if before is None else f"{(peak - before[1]) / (count - before[0]):.0f}"
            size = path.stat().st_size / 1e6
            seconds = time.monotonic() - began
            print(f"| {count} | {size:.1f} | {peak / 1e6:.0f} | {more} | {seconds:.0f} |")
            sys.stdout.flush()
            before = count, peak


def _peak(words: Sequence[str | Path]) -> float:
    """Bytes that a command had in memory at the most."""
    command = [sys.executable, "-m", "edgekit", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"edgekit {words[0]} ended with {process.returncode}")
    return used.ru_maxrss * 1024.0


class _Clocked:
    """An engine on one thread: processor time in its calls, and from its beginning to its end.

    Rows come in batches, so that the clock is looked at so seldom that it is not in the figure.
    """

    def __init__(self, inner: Engine, spent: list[float]) -> None:
        self._inner, self._spent = inner, spent
        self.together = inner.together
        self._inside, self._began = 0.0, time.process_time()

    def run(self, batch: Sequence[Inputs]) -> Answers:
        began = time.process_time()
        found = self._inner.run(batch)
        self._inside += time.process_time() - began
        return found

    def close(self) -> None:
        self._spent[:] = [self._inside, time.process_time() - self._began]
        self._inner.close()


def overhead(bundles: Sequence[str], rows: int) -> None:
    """A line for each artifact: medians of some passes, of processor time, whoever else works."""
    print("| artifact | rows | model ms a row | overhead of the pass | with the intervals |")
    print("|---|---|---|---|---|", flush=True)
    for bundle in bundles:
        folder = Path(bundle)
        manifest = load_manifest(folder)
        columns = ("text_a", "text_b") if manifest.task == "sentence-similarity" else ("text",)
        for one in of_bundle(folder, manifest, ()):
            spent: list[float] = []
            open_one = partial(of_artifact, folder, manifest, one.runtime, 1)
            clocked = replace(one, open=partial(_opened, open_one, spent), open_worker=None)
            found = []
            with tempfile.TemporaryDirectory() as name:
                path = write_rows(Path(name, "rows.jsonl"), rows, columns, 16)
                evaluate([clocked], path, Options(limit=20))  # imports and first passes
                for _ in range(_PASSES):
                    began = time.process_time()
                    evaluate([clocked], path, Options())
                    found.append((*spent, time.process_time() - began))
            model = statistics.median(inside for inside, _, _ in found)
            around = statistics.median(outside / inside - 1 for inside, outside, _ in found)
            whole = statistics.median(every / inside - 1 for inside, _, every in found)
            print(
                f"| {one.name} | {rows} | {1e3 * model / rows:.2f} | {around:.1%} | {whole:.1%} |"
            )


def _opened(inner: Callable[[], Engine], spent: list[float]) -> Engine:
    return _Clocked(inner(), spent)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="what", required=True)
    verbs.add_parser("memory").add_argument("sizes", nargs="*", type=int, default=_SIZES)
    timed = verbs.add_parser("overhead")
    timed.add_argument("bundles", nargs="+")
    timed.add_argument("--rows", type=int, default=500)
    asked = parser.parse_args()
    if asked.what == "memory":
        memory(asked.sizes)
    else:
        overhead(asked.bundles, asked.rows)


if __name__ == "__main__":
    main()
