"""How a phone is now: battery, heat, screen, memory and clocks, read over adb.

Android has no stable format for these; what is not found in a phone's answer is None, never a
guess. Android before 10 has no thermal service at all.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.device.phone import (
    CPUS,
    MEMINFO,
    PRESENT,
    core_indexes,
    memory_bytes,
    numbers,
    texts,
    whole,
)
from edgekit.device.shell import Shell

BATTERY = ("dumpsys", "battery")
THERMAL = ("dumpsys", "thermalservice")
POWER = ("dumpsys", "power")
WINDOW = ("dumpsys", "window")
POWER_SAVER = ("settings", "get", "global", "low_power")
CURRENT = ("cat", "/sys/class/power_supply/battery/current_now")

# What PowerManager calls the statuses.
THERMAL_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# A bare "showing" counts only as a line of its own: other services print one within their lines.
_LOCK = re.compile(
    r"\b(?:mShowingLockscreen|mKeyguardShowing|isKeyguardShowing|keyguardShowing"
    r"|isStatusBarKeyguard) ?= ?(true|false)\b|^\s*(?:showing|mIsShowing)=(true|false)\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Cpu:
    """One core: its clock and highest clock in kHz, and what sets it."""

    index: int
    khz: int | None
    max_khz: int | None
    governor: str | None


@dataclass(frozen=True)
class Health:
    """A phone at one moment; None is what it does not say.

    Attributes:
        battery_percent: 0 to 100.
        battery_celsius: the battery's temperature.
        battery_volts: its voltage.
        charging: whether a cable or pad feeds it.
        power_saver: whether battery saver is on.
        thermal_status: 0 (none) to 6 (shutdown), as in ``THERMAL_NAMES``.
        screen_on: whether it is awake.
        locked: whether the lock screen shows.
        memory_free: bytes that programs could get.
        cpus: every core.
        charge_counter: charge left, microampere-hours.
        current_now: current of the battery in microamperes; the sign differs between phones.
    """

    battery_percent: int | None = None
    battery_celsius: float | None = None
    charging: bool | None = None
    power_saver: bool | None = None
    thermal_status: int | None = None
    screen_on: bool | None = None
    locked: bool | None = None
    memory_free: int | None = None
    cpus: tuple[Cpu, ...] = ()
    charge_counter: int | None = None
    current_now: int | None = None
    battery_volts: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def read(shell: Shell) -> Health:
    """Ask a phone how it is.

    Raises:
        EdgekitError: the phone went away or does not answer.
    """
    battery = _fields(shell.ask(BATTERY))
    level, scale = whole(battery.get("level"), 0, 10**6), whole(battery.get("scale"), 1, 10**6)
    tenths = whole(battery.get("temperature"), -600, 2000)
    millivolts = whole(battery.get("voltage"), 1000, 20_000)
    saver = (shell.ask(POWER_SAVER) or "").strip()
    return Health(
        battery_percent=None if level is None else min(round(100 * level / (scale or 100)), 100),
        battery_celsius=None if tenths is None else tenths / 10,
        charging=_charging(battery),
        power_saver={"0": False, "1": True}.get(saver),
        thermal_status=_thermal(shell.ask(THERMAL)),
        screen_on=_awake(shell.ask(POWER)),
        locked=locked(shell),
        memory_free=memory_bytes(shell.ask(MEMINFO)).get("MemAvailable"),
        cpus=_cpus(shell),
        charge_counter=whole(battery.get("Charge counter"), 0, 10**9) or None,
        current_now=whole(shell.ask(CURRENT), -(10**8), 10**8),
        battery_volts=None if millivolts is None else millivolts / 1000,
    )


def locked(shell: Shell) -> bool | None:
    """Whether the lock screen shows, alone; None when the phone does not say.

    Raises:
        EdgekitError: the phone went away or does not answer.
    """
    return _locked(shell.ask(WINDOW))


def _cpus(shell: Shell) -> tuple[Cpu, ...]:
    cores = core_indexes(shell.ask(PRESENT))
    folders = [f"{CPUS}/cpu{index}/cpufreq" for index in cores]
    now = numbers(shell, [f"{folder}/scaling_cur_freq" for folder in folders])
    most = numbers(shell, [f"{folder}/cpuinfo_max_freq" for folder in folders])
    governors = texts(shell, [f"{folder}/scaling_governor" for folder in folders])
    return tuple(map(Cpu, cores, now, most, governors))


def _fields(answer: str | None) -> dict[str, str]:
    """``name: value`` lines; the first of a name counts."""
    found: dict[str, str] = {}
    lines = re.findall(r"^ {0,8}([\w ]{1,40}): ?([^\r\n]{0,80})", answer or "", re.MULTILINE)
    for name, value in lines[:500]:
        found.setdefault(name, value.strip())
    return found


def _charging(battery: dict[str, str]) -> bool | None:
    fed = [value for name, value in battery.items() if name.endswith(" powered")]
    return None if not fed else "true" in fed


def _thermal(answer: str | None) -> int | None:
    found = re.search(r"^\s{0,8}Thermal Status: ?([0-6])\s*$", answer or "", re.MULTILINE)
    return int(found[1]) if found else None


def _awake(answer: str | None) -> bool | None:
    found = re.search(r"\bmWakefulness=(\w{1,20})", answer or "")
    return None if found is None else found[1] == "Awake"


def _locked(answer: str | None) -> bool | None:
    """Which of the names is there depends on the version; any that shows the lock counts."""
    found = [inline or line for inline, line in _LOCK.findall(answer or "")]
    return None if not found else "true" in found
