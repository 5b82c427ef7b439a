"""What is measured of one answer; runs in every environment, so it needs nothing installed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Feed = Callable[[list[int], int], int]
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class Answer:
    """From the prompt to the first token, the median from one token to the next, and the peak."""

    first_ms: float
    step_ms: float
    peak_kb: int

    @staticmethod
    def parse(text: str) -> Answer:
        """What ``tell`` printed last."""
        return Answer(**json.loads(text.strip().splitlines()[-1]))


def answered(first_ms: float, steps: list[float], peak_kb: int) -> Answer:
    """An answer of single times."""
    return Answer(first_ms, sorted(steps)[len(steps) // 2], peak_kb)


def tell(feed: Feed, prompt: Sequence[int], tokens: int, clock: str) -> None:
    """Answer twice and print the second.

    Args:
        feed: see ``benchmarks.peers``.
        prompt: token ids.
        tokens: how many to generate.
        clock: a key of ``CLOCKS``.
    """
    now = CLOCKS[clock]
    for _ in range(2):
        times = []
        start = now()
        last = feed(list(prompt), 0)
        for at in range(tokens):
            times.append(1000 * (now() - start))
            start = now()
            last = feed([last], len(prompt) + at)
    print(json.dumps(asdict(answered(times[0], times[1:], _peak_kb()))))


def _peak_kb() -> int:
    """Of this process alone; what getrusage says begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
