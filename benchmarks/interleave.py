"""Time several functions in turn, so that a machine's drift falls on all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping


def medians(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float = 10.0,
    warm_ups: int = 5,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Milliseconds of every timed call.

    Rounds go through all candidates in a newly drawn order. In each turn a candidate runs twice
    untimed, to have its weights in the cache again, and then three times timed.

    Args:
        candidates: name -> what to call.
        seconds: for all of them together.
        warm_ups: untimed calls of each at the start.
        seed: of the order.
    """
    order = list(candidates)
    draw = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in order}
    for name in order:
        for _ in range(warm_ups):
            candidates[name]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        draw.shuffle(order)
        for name in order:
            call = candidates[name]
            # Idle pools of the last candidate spin for a moment; let them go to sleep.
            time.sleep(0.01)
            call()
            call()
            for _ in range(3):
                start = time.perf_counter()
                call()
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def median(times: list[float]) -> float:
    """The median, in the unit of ``times``."""
    return statistics.median(times)
