"""Can edgekit use this phone? Each finding with what mends it, and what edgekit can mend itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from edgekit.device import adb, health, inventory, phone
from edgekit.device.protocol import clean
from edgekit.device.shell import Shell
from edgekit.doctor import Check, Status
from edgekit.errors import DeviceUnauthorized, EdgekitError, Unsupported

STORAGE_BYTES = 1e9
MEMORY_BYTES = 1e9
BATTERY_LOW, BATTERY_REFUSED = 30, 15
WARM_STATUS = 2
WARM_CELSIUS = 40.0
ABI = "arm64-v8a"
OLDEST_API = 24
ALLOW_SECONDS = 30.0
_WRONG_ABI = "Bundles for android-arm64 need a phone with a 64-bit ARM system."
_OLD = "Use a phone with Android 7 or newer: older ones lack commands that edgekit needs."
_WAKE = "Wake it: a sleeping phone uses its slow cores."
_LOCKED = "Unlock it; it stays unlocked while edgekit keeps the screen on."


@dataclass(frozen=True)
class Remedy:
    """Something that edgekit can do about a finding when the user wants it.

    Attributes:
        check: name of the check that it mends.
        question: what will be done, as a question.
        apply: does it.
    """

    check: str
    question: str
    apply: Callable[[], None]


@dataclass
class PhoneDiagnosis:
    """All findings about one phone.

    Attributes:
        checks: in the order in which they were looked at; later ones need the earlier.
        error: why the phone cannot be used at all; None when it can.
        remedies: what edgekit can do by itself.
    """

    checks: list[Check] = field(default_factory=list)
    error: EdgekitError | None = None
    remedies: list[Remedy] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-able data; an ``error`` only when the phone cannot be used."""
        found: dict[str, Any] = {
            "usable": self.error is None,
            "checks": [asdict(check) for check in self.checks],
        }
        return found if self.error is None else {**found, "error": self.error.as_dict()}


def diagnose_phone(serial: str | None = None) -> PhoneDiagnosis:
    """Look at adb, its server and one phone. Nothing on the phone is changed.

    Args:
        serial: which phone; ANDROID_SERIAL or the only one unless given.
    """
    found = PhoneDiagnosis()
    try:
        _look(found, serial)
    except EdgekitError as error:
        # What failed is the first thing that has no check yet.
        name = ("adb", "adb server", "phone", "answers")[min(len(found.checks), 3)]
        found.checks.append(Check("phone", name, "missing", error.message, "", error.hint))
        found.error = error
    return found


def _look(found: PhoneDiagnosis, serial: str | None) -> None:
    client = adb.find()
    version = client.run(["version"], timeout=10).text.splitlines()
    numbers = ", ".join(clean(line, most=60) for line in version[:2])
    found.checks.append(Check("phone", "adb", "ok", f"{client.program} ({numbers})"))
    rows = inventory.listed(client)
    server = client.variables().get("ADB_SERVER_SOCKET")
    where = f" at {clean(server, most=80)}" if server else ""
    listing = f"answers{where}; {len(rows)} phone{'' if len(rows) == 1 else 's'} listed"
    found.checks.append(Check("phone", "adb server", "ok", listing))
    try:
        chosen = inventory.choose(client, serial)
    except DeviceUnauthorized as error:
        found.remedies.append(_asking(client, str(error.details.get("serial", serial or ""))))
        raise
    found.checks.append(Check("phone", "phone", "ok", f"{clean(chosen, most=80)} is usable"))
    shell = Shell(client, chosen)
    about, state = phone.about(shell), health.read(shell)
    found.checks += [*_facts(shell, about), *_state(state)]
    if state.screen_on is False:
        found.remedies.append(_waking(shell))
    if ABI not in about.abis:
        runs = ", ".join(about.abis) or "nothing that it names"
        found.error = Unsupported(f"this phone runs {runs}, not {ABI}", hint=_WRONG_ABI)


def _waking(shell: Shell) -> Remedy:
    def wake() -> None:
        shell.run(["input", "keyevent", "WAKEUP"], timeout=10)

    return Remedy("screen", "Wake the screen?", wake)


def _asking(client: adb.Adb, serial: str) -> Remedy:
    def ask() -> None:
        inventory.reconnect(client, serial)
        # Not allowed in time is what the next look will find.
        with suppress(EdgekitError):
            inventory.choose(client, serial, wait=ALLOW_SECONDS)

    wait = f"wait {ALLOW_SECONDS:.0f} s for Allow on its screen"
    return Remedy("phone", f"Make the phone ask again, and {wait}?", ask)


def _facts(shell: Shell, about: phone.Phone) -> Iterator[Check]:
    model = " ".join(filter(None, (about.manufacturer, about.model))) or "unknown"
    android = f"{model}, Android {about.android or '?'} (API {about.sdk or '?'})"
    old = about.sdk is not None and about.sdk < OLDEST_API
    yield _check(
        "Android", "warning" if old else "ok", android, f"API >= {OLDEST_API}", _OLD if old else ""
    )
    runs = ABI in about.abis
    yield _check(
        "processor",
        "ok" if runs else "missing",
        ", ".join(filter(None, (about.soc, *about.abis))) or "unknown",
        ABI,
        "" if runs else _WRONG_ABI,
    )
    yield _check(
        "exit statuses",
        "ok" if shell.splits else "warning",
        "shell_v2" if shell.splits else "no shell_v2: what fails says less",
        "shell_v2",
        "" if shell.splits else "Update adb and the phone; it works, with stderr dropped.",
    )
    yield _room("storage", about.storage_free, STORAGE_BYTES, f"Free some space in {phone.STORAGE}")
    yield _room("memory", about.memory_free, MEMORY_BYTES, "Close apps, or restart the phone")


def _room(name: str, free: int | None, wanted: float, fix: str) -> Check:
    if free is None:
        return _check(name, "ok", "the phone does not say", f">= {wanted / 1e9:.0f} GB", "")
    low = free < wanted
    return _check(
        name,
        "warning" if low else "ok",
        f"{free / 1e9:.1f} GB free",
        f">= {wanted / 1e9:.0f} GB",
        f"{fix}." if low else "",
    )


def _state(state: health.Health) -> Iterator[Check]:
    level = state.battery_percent
    low = level is not None and level < BATTERY_LOW
    refused = level is not None and level < BATTERY_REFUSED
    yield _check(
        "battery",
        "missing" if refused else "warning" if low else "ok",
        _percent(level, state.charging),
        f">= {BATTERY_LOW} %",
        f"Charge it; edgekit bench refuses below {BATTERY_REFUSED} %." if low else "",
    )
    saver = state.power_saver
    yield _check(
        "battery saver",
        "warning" if saver else "ok",
        _told(saver, "on", "off"),
        "off",
        "Turn Battery Saver off: it slows the processor down." if saver else "",
    )
    warm = (state.thermal_status or 0) >= WARM_STATUS or (
        state.battery_celsius is not None and state.battery_celsius >= WARM_CELSIUS
    )
    yield _check(
        "heat",
        "warning" if warm else "ok",
        _heat(state),
        f"below {health.THERMAL_NAMES[WARM_STATUS]}, below {WARM_CELSIUS:.0f} C",
        "Let it cool down, out of its case and off the charger." if warm else "",
    )
    dark = state.screen_on is False
    yield _check(
        "screen",
        "warning" if dark else "ok",
        _told(state.screen_on, "on", "off"),
        "on",
        _WAKE if dark else "",
    )
    yield _check(
        "lock",
        "warning" if state.locked else "ok",
        _told(state.locked, "locked", "unlocked"),
        "unlocked",
        _LOCKED if state.locked else "",
    )


def _check(name: str, status: Status, found: str, wanted: str, fix: str) -> Check:
    return Check("phone", name, status, found, wanted, fix)


def _percent(level: int | None, charging: bool | None) -> str:
    if level is None:
        return "the phone does not say"
    return f"{level} %{', charging' if charging else ''}"


def _told(value: bool | None, yes: str, no: str) -> str:
    return "the phone does not say" if value is None else yes if value else no


def _heat(state: health.Health) -> str:
    parts = []
    if state.thermal_status is not None:
        parts.append(f"status {health.THERMAL_NAMES[state.thermal_status]}")
    if state.battery_celsius is not None:
        parts.append(f"battery {state.battery_celsius:.1f} C")
    return ", ".join(parts) or "the phone does not say"
