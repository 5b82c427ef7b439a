"""Four uses of a small model: data, fine-tuning, a small bundle, and its artifacts scored.

`make demo-tasks` runs it; `.venv/bin/python -m examples.demo_tasks` does the same.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import edgekit
from edgekit.packs import pack as find
from edgekit.packs.make import make
from examples import tiny_seq2seq

HOME = Path("build") / "tasks"
# Pack, and updates of the weights: enough to see the use, not to reach the best score.
PACKS = {"triage": 90, "commands": 80, "questions": 160, "summaries": 250}
ROWS = 150
# By an encoder-decoder of 1.3 million parameters, trained here; the others by MiniLM. One that
# small learns at a rate that would ruin MiniLM.
WRITES = ("summaries",)
RATE = 3e-3


def main() -> int:
    """Run the demo; returns the exit status."""
    table = []
    try:
        for name, steps in PACKS.items():
            table += rows(name, steps)
    except edgekit.errors.EdgekitError as error:
        say(f"{error}\n{error.hint}")
        return error.exit_status
    except KeyboardInterrupt:
        say("Stopped; no half-made folder is left.")
        return 130
    show(table)
    print(f"\nAll of it lies in {HOME}: the data with its cards, the tuned models, the bundles.")
    print("Scores are on templates that training never saw; each pack's README.md says what that")
    print("means. Times are of this machine, not of a phone.")
    return 0


def rows(name: str, steps: int) -> list[tuple[str, ...]]:
    """One pack's lines of the table."""
    pack, tuned, bundle = (HOME / f"{name}-{what}" for what in ("data", "tuned", "bundle"))
    say(f"{name}: data")
    make(name, pack, force=True)
    say(f"{name}: {steps} steps of fine-tuning")
    edgekit.tune(
        tiny_seq2seq.folder(say=say) if name in WRITES else "minilm",
        out=tuned,
        data=(pack / "train.jsonl",),
        validation=pack / "dev.jsonl",
        steps=steps,
        learning_rate=RATE if name in WRITES else None,
        max_length=128,
        force=True,
        progress=say_progress,
    )
    say(f"{name}: export")
    edgekit.export(tuned, out=bundle, max_length=128, force=True, progress=say_progress).close()
    say(f"{name}: {ROWS} rows of the test set through each")
    found = edgekit.evaluate([tuned, bundle], data=pack / "test.jsonl", limit=ROWS)
    return [line(name, contestant) for contestant in found["contestants"]]


def line(name: str, contestant: dict[str, Any]) -> tuple[str, ...]:
    """A contestant's main figure, with its interval, its size and its time."""
    wanted = find(name).metric
    (figure,) = (one for one in contestant["figures"] if one["metric"] == wanted)
    change, latency = figure.get("change"), contestant["latency_ms"]
    said = "" if change is None else ("differs" if change["significant"] else "no difference seen")
    return (
        name,
        str(contestant["runtime"]),
        str(figure["metric"]),
        number(figure["value"]),
        f"{number(figure['low'])} to {number(figure['high'])}",
        f"{contestant['bytes'] / 1e6:.1f} MB",
        "" if latency is None else f"{latency['median']:.1f} ms",
        said,
    )


def number(value: float | None) -> str:
    """Three digits; a dash where the rows do not define a figure."""
    return "-" if value is None else f"{value:.3f}"


def show(table: list[tuple[str, ...]]) -> None:
    """The table, in columns as wide as they need."""
    head = ("pack", "runtime", "metric", "value", "95 % interval", "size", "a row", "against eager")
    widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
    for cells in (head, *table):
        row = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join(row).rstrip())


def say_progress(progress: edgekit.Progress) -> None:
    """A line a stage, and one for each look at the held-out rows."""
    note = f": {progress.note}" if progress.note else ""
    say(f"  {progress.stage}{note}")


def say(text: str) -> None:
    """Talk goes to stderr, the result to stdout."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
