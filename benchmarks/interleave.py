"""Time several functions in turn, so that a machine's drift falls on all of them alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping

# A pool that waits by spinning takes a processor from the candidate whose turn comes next; ONNX
# Runtime's does so for about 40 ms behind a call.
_LOOK, _IDLE, _PATIENCE = 0.005, 0.1, 0.5

# What a turn takes at least: seconds and calls. A fast candidate needs as long as a slow one until
# its weights lie in the cache again and the processors that waited are awake.
_WARM, _WARM_CALLS = 0.02, 2
_TIMED, _TIMED_CALLS = 0.02, 3


def medians(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float = 10.0,
    warm_ups: int = 5,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Milliseconds of every timed call.

    Rounds go through all candidates in a newly drawn order. In each turn a candidate waits until
    the last one's threads rest, runs untimed for 20 ms, and then timed for as long: an app's second
    answer, not its first.

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
            _until_idle()
            _repeated(call, _WARM, _WARM_CALLS)
            times[name] += _repeated(call, _TIMED, _TIMED_CALLS)
    return times


def _repeated(call: Callable[[], object], seconds: float, least: int) -> list[float]:
    """Milliseconds of each call, of so many at least and for so long."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def _until_idle() -> None:
    """Wait until no thread of this process works any more."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        before, start = time.process_time(), time.monotonic()
        time.sleep(_LOOK)
        if time.process_time() - before < _IDLE * (time.monotonic() - start):
            return


def median(times: list[float]) -> float:
    """The median, in the unit of ``times``."""
    return statistics.median(times)
