"""The cool-down gate: a block starts when the device is as cool and as fast as at the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from edgekit.bench.record import Gate
from edgekit.bench.validity import WARMEST

MOST_RATIO = 1.10
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class CoolDown:
    """Holds a device against how it was at the start.

    Args:
        health: reads the device's state.
        probe: a short run that is always the same, in ms; None where time means nothing.
        minutes: most waiting over the whole bench; afterwards the gate only reports.
        say: told why it waits.
        sleep: waits that many seconds.
        clock: seconds that pass.
    """

    def __init__(
        self,
        health: Callable[[], Mapping[str, Any]],
        probe: Callable[[], float] | None,
        minutes: float,
        *,
        say: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.first: float | None = None
        self._health = health
        self._probe = probe
        self._left = minutes * 60
        self._say = say
        self._sleep = sleep
        self._clock = clock

    def wait(self) -> Gate:
        """Wait until the device is cool again, or until there is no time left for that."""
        began, pause = self._clock(), _FIRST_PAUSE
        while True:
            reading = self._look()
            left = self._left - (self._clock() - began)
            if reading.passed or left <= 0:
                waited = self._clock() - began
                if not reading.passed or pause > _FIRST_PAUSE:
                    self._left = max(0.0, self._left - waited)
                return reading.model_copy(update={"waited_seconds": round(waited, 3)})
            if pause == _FIRST_PAUSE:
                self._say(f"waits to cool down, {left:.0f} s at most: {reading.reason}")
            self._sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _look(self) -> Gate:
        status = self._health().get("thermal_status")
        hot = isinstance(status, int) and status > WARMEST
        # A probe on a hot device would only heat it.
        taken = None if hot or self._probe is None else self._probe()
        if taken is not None and self.first is None:
            self.first = taken
        ratio = taken / self.first if taken is not None and self.first else None
        slow = ratio is not None and ratio > MOST_RATIO
        reason = f"thermal status {status}" if hot else ""
        if slow:
            reason = f"the probe took {ratio:.2f}x its first time"
        return Gate(
            waited_seconds=0.0,
            thermal_status=status if isinstance(status, int) else None,
            probe_ms=taken,
            probe_ratio=ratio,
            passed=not (hot or slow),
            reason=reason,
        )
