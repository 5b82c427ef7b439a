"""What makes a block count, and what makes a whole bench not worth starting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.bench.record import Kind, Times
from edgekit.errors import DeviceUnready

MOST_CV = 0.05
WARMEST = 1
MOST_CLOCK_DROP = 0.10
LEAST_BATTERY = 15
LOW_BATTERY = 30

Readings = Mapping[str, Any]


def check_battery(health: Readings, *, force: bool = False) -> list[str]:
    """Warnings about the battery.

    Raises:
        DeviceUnready: it is nearly empty, and ``force`` was not given.
    """
    percent = _number(health.get("battery_percent"))
    if percent is None or percent >= LOW_BATTERY:
        return []
    if percent < LEAST_BATTERY and not force:
        raise DeviceUnready(
            f"the battery is at {percent:.0f} %: phones slow down below {LEAST_BATTERY} %",
            hint="Charge the phone, or pass --force to measure all the same.",
            battery_percent=percent,
        )
    return [f"the battery is at {percent:.0f} %: figures may be those of a phone that saves power"]


def check_lock(health: Readings, *, force: bool = False) -> list[str]:
    """Warnings about the lock screen.

    Raises:
        DeviceUnready: it shows, and ``force`` was not given.
    """
    if health.get("locked") is not True:
        return []
    if not force:
        raise DeviceUnready(
            "the screen is locked: a phone may slow down what runs behind it",
            hint="Unlock the phone, or pass --force to measure all the same.",
        )
    return ["the screen was locked: figures may be those of a phone that rests"]


def reasons(
    before: Readings,
    after: Readings,
    clocks: Sequence[Readings],
    times: Times | None,
    *,
    kind: Kind,
    clock_of_first: float | None = None,
) -> list[str]:
    """Why a block does not count; empty when it does.

    Args:
        before: health before the block.
        after: health after it.
        clocks: the runner's own readings before and after the timed part.
        times: what was timed; None for a block of loads.
        kind: of the place; clocks and steadiness mean nothing on an emulated processor.
        clock_of_first: highest clock in kHz at the end of the bench's first block.
    """
    found = []
    statuses = [_number(part.get("thermal_status")) for part in (before, after)]
    hottest = max((status for status in statuses if status is not None), default=0)
    if hottest > WARMEST:
        found.append(f"throttled: thermal status {hottest:.0f}")
    if any(part.get("screen_on") is False for part in (before, after)):
        found.append("the screen was off")
    if before.get("charging") != after.get("charging"):
        found.append("charging changed")
    if any(part.get("power_saver") is True for part in (before, after)):
        found.append("the power saver was on")
    if kind == "emulated":
        return found
    if times is not None and times.core_cv > MOST_CV:
        found.append(f"unstable: CV {times.core_cv:.1%}")
    return found + _clock_reasons(clocks, clock_of_first)


def end_clock(clocks: Sequence[Readings]) -> float | None:
    """Highest clock of any processor in kHz right after the timed part; None if untold."""
    return _highest(clocks[-1], "khz") if clocks else None


def _clock_reasons(clocks: Sequence[Readings], clock_of_first: float | None) -> list[str]:
    found = []
    if len(clocks) > 1:
        allowed, left = _highest(clocks[0], "max_khz"), _highest(clocks[-1], "max_khz")
        if allowed and left and left < allowed:
            found.append(f"the clock limit fell from {allowed / 1e3:.0f} to {left / 1e3:.0f} MHz")
    now = end_clock(clocks)
    if now and clock_of_first and now < (1 - MOST_CLOCK_DROP) * clock_of_first:
        found.append(
            f"the clock fell to {now / 1e3:.0f} MHz from {clock_of_first / 1e3:.0f} MHz "
            "in the first block"
        )
    return found


def _highest(reading: Readings, name: str) -> float | None:
    cpus = reading.get("cpus")
    values = [
        _number(cpu.get(name))
        for cpu in (cpus if isinstance(cpus, list | tuple) else ())
        if isinstance(cpu, Mapping)
    ]
    return max((value for value in values if value), default=None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
