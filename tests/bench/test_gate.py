"""The cool-down gate, its waits counted on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

from edgekit.bench.gate import CoolDown


class Waits:
    """A clock that only sleeping moves; a probe takes its answers from a list."""

    def __init__(self, probes: list[float], statuses: list[int | None], minutes: float) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.probed = 0
        self._probes = self._then_the_last(probes)
        self._statuses = self._then_the_last(statuses)
        self.gate = CoolDown(
            lambda: {"thermal_status": next(self._statuses)},
            self.probe if probes else None,
            minutes,
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    @staticmethod
    def _then_the_last(values: list[object]) -> Iterator:  # type: ignore[type-arg]
        return chain(values, repeat(values[-1] if values else None))

    def probe(self) -> float:
        self.probed += 1
        return next(self._probes)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_a_cool_device_does_not_wait() -> None:
    waits = Waits([2.0, 2.1, 2.19], [0, 1, None], minutes=5)
    for _ in range(3):
        gate = waits.gate.wait()
        assert (gate.passed, gate.waited_seconds, gate.reason) == (True, 0.0, "")
    assert waits.gate.first == 2.0
    assert gate.probe_ratio == 2.19 / 2.0
    assert gate.thermal_status is None


def test_a_hot_device_waits_and_is_not_probed() -> None:
    waits = Waits([2.0], [3, 2, 2, 1], minutes=5)
    gate = waits.gate.wait()
    assert gate.passed
    assert waits.pauses == [1.0, 2.0, 4.0]
    assert gate.waited_seconds == 7.0
    assert waits.probed == 1


def test_a_slow_probe_waits_until_it_is_fast_again() -> None:
    waits = Waits([2.0, 2.5, 2.3, 2.1], [0], minutes=5)
    waits.gate.wait()
    gate = waits.gate.wait()
    assert gate.passed
    assert gate.probe_ms == 2.1
    assert waits.pauses == [1.0, 2.0]


def test_the_limit_is_for_the_whole_run() -> None:
    waits = Waits([2.0, 3.0], [0], minutes=0.5)
    waits.gate.wait()
    flagged = waits.gate.wait()
    assert not flagged.passed
    assert flagged.reason == "the probe took 1.50x its first time"
    assert flagged.waited_seconds == 30.0
    again = waits.gate.wait()
    assert not again.passed
    assert again.waited_seconds == 0.0
    assert sum(waits.pauses) == 30.0
    assert max(waits.pauses) <= 30


def test_a_device_that_stays_hot_is_flagged() -> None:
    waits = Waits([2.0], [2], minutes=1)
    gate = waits.gate.wait()
    assert (gate.passed, gate.reason, gate.probe_ms) == (False, "thermal status 2", None)
    assert waits.gate.first is None


def test_where_time_means_nothing_only_heat_counts() -> None:
    waits = Waits([], [0], minutes=5)
    gate = waits.gate.wait()
    assert (gate.passed, gate.probe_ms, gate.probe_ratio) == (True, None, None)
