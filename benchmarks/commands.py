"""What the commands cost as whole processes: wall time and peak memory.

    .venv/bin/python -m benchmarks.commands [--model minilm] [> table.md]

The export is whole: both runtimes, int8, every hop measured on this host.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5


def main() -> None:
    """Run each command, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm")
    options = parser.parse_args()
    edgekit = [sys.executable, "-m", "edgekit"]
    print("| command | wall s | peak MB, largest process |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = str(Path(scratch) / "bundle")
        _row("edgekit --help", [*edgekit, "--help"], REPEATS)
        export = [*edgekit, "-q", "export", options.model, "-o", bundle]
        _row(f"edgekit export {options.model}", export, 1)
        _row("edgekit inspect BUNDLE", [*edgekit, "inspect", bundle], REPEATS)
        run = [*edgekit, "run", bundle, "--runtime", "onnx", "One text."]
        _row("edgekit run BUNDLE --runtime onnx", run, REPEATS)
        _row("edgekit verify BUNDLE", [*edgekit, "-q", "verify", bundle], 1)
    print(f"\nConditions: {os.cpu_count()} processors, medians of {REPEATS} runs, 1 for the long.")


def _row(name: str, command: list[str], repeats: int) -> None:
    runs = [_cost(command) for _ in range(repeats)]
    wall = statistics.median(seconds for seconds, _ in runs)
    print(f"| `{name}` | {wall:.2f} | {max(peak for _, peak in runs):.0f} |", flush=True)


def _cost(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MB of one run; its children's peak counts where it is larger."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {child.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
