"""Which phones adb sees, in what state, and the one that a command is for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from edgekit.device import faults
from edgekit.device.adb import Adb
from edgekit.device.protocol import clean
from edgekit.errors import (
    DeviceAmbiguous,
    DeviceMissing,
    DeviceOffline,
    DeviceUnauthorized,
    DeviceUnready,
    EdgekitError,
    PermissionRefused,
)

USABLE = "device"
_POLL_SECONDS = 0.25
_RECOVERY_TRIES = 2
# Both tries together end within the 2 s in which a fault must be named, as a rule.
_RECOVERY_SECONDS = 0.7
_MOST_PHONES = 256
_ADDRESS = re.compile(r"(?!-)[\w.\-]{1,253}:\d{1,5}|\[[0-9A-Fa-f:.%\w]{2,60}\]:\d{1,5}")

_REBOOT = "Restart it into Android: adb -s SERIAL reboot"
# State -> the error of a command that needs this phone, and what mends it.
STATES: dict[str, tuple[type[EdgekitError], str]] = {
    "unauthorized": (DeviceUnauthorized, faults.ALLOW),
    "no permissions": (PermissionRefused, faults.UDEV),
    "offline": (DeviceOffline, faults.RECONNECT),
    "authorizing": (DeviceOffline, "Wait a moment; then unlock the phone and look at its screen."),
    "connecting": (DeviceOffline, "Wait a moment and try again."),
    "bootloader": (DeviceUnready, "Restart it into Android: fastboot -s SERIAL reboot"),
    "recovery": (DeviceUnready, _REBOOT),
    "rescue": (DeviceUnready, _REBOOT),
    "sideload": (DeviceUnready, _REBOOT),
    "host": (DeviceUnready, "Connect it as a device, not as a host."),
}
_STATE_WORDS = "|".join([USABLE, *(re.escape(state) for state in STATES)])
_ROW = re.compile(rf"(?P<serial>\S.*?)\s+(?P<state>{_STATE_WORDS})(?P<rest>(?:[ \t;(].*)?)$")


@dataclass(frozen=True)
class Listed:
    """A phone as adb lists it.

    Attributes:
        serial: adb's name for it, as adb wants it back.
        state: ``device`` when usable, else one of ``STATES``.
        model: as adb spells it, cleaned; empty when the phone did not say.
        fix: what makes it usable; empty when it is.
    """

    serial: str
    state: str
    model: str
    fix: str

    @property
    def usable(self) -> bool:
        """Whether commands can run on it."""
        return self.state == USABLE

    @property
    def name(self) -> str:
        """Serial and model, safe to print."""
        return clean(self.serial, most=80) + (f" ({self.model})" if self.model else "")

    def error(self) -> EdgekitError:
        """The error of a command that needs this phone while it is not usable."""
        kind = STATES.get(self.state, (DeviceUnready, ""))[0]
        return kind(f"{self.name} is {self.state}", hint=self.fix, serial=self.serial)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def listed(adb: Adb) -> list[Listed]:
    """Every phone that adb knows, in adb's order.

    Raises:
        AdbServerFailed: the adb server does not answer.
    """
    reply = adb.run(["devices", "-l"], timeout=10, most=2**20)
    rows = (parse(line) for line in reply.text.split("\n"))
    return [row for row in rows if row is not None][:_MOST_PHONES]


def parse(line: str) -> Listed | None:
    """One line of ``adb devices -l``; None for a line that is about no phone."""
    found = _ROW.match(line.rstrip("\r"))
    if found is None or line.startswith("* "):
        return None
    serial, state = found["serial"], found["state"]
    model = re.search(r" model:(\S{1,200})", found["rest"])
    fix = "" if state == USABLE else STATES[state][1].replace("SERIAL", faults.shown(serial))
    return Listed(serial, state, clean(model[1], most=60) if model else "", fix)


def choose(adb: Adb, serial: str | None = None, *, wait: float = 0) -> str:
    """The phone that a command is for.

    Args:
        serial: the one asked for; ANDROID_SERIAL unless given; else the only usable one. An
            address (HOST:PORT) that is not listed is connected to first.
        wait: seconds to wait for it to be connected, allowed and online.

    Returns:
        Its serial; adb saw it usable a moment ago.

    Raises:
        DeviceMissing: none, or not this one; the nearest serial is in the hint.
        DeviceAmbiguous: several, and none was asked for.
        DeviceUnauthorized: it has not allowed this computer.
        DeviceOffline: it does not answer, also after two tries to recover it.
        DeviceUnready: it is in recovery or another mode that runs no apps.
        PermissionRefused: this computer may not open it.
    """
    wanted = serial or adb.variables().get("ANDROID_SERIAL") or None
    deadline = time.monotonic() + wait
    tries = 0
    linked = False
    offline: EdgekitError | None = None
    while True:
        rows = listed(adb)
        found = _pick(rows, wanted)
        if isinstance(found, str):
            return found
        if isinstance(found, DeviceMissing) and offline is not None:
            # The recovery made adb forget a phone on the network: it was there, and did not answer.
            found = offline
        if isinstance(found, DeviceMissing) and not linked and _ADDRESS.fullmatch(wanted or ""):
            refused = _connection_error(adb, wanted or "")
            linked = refused is None
            if refused is None:
                continue
            found = refused
        if isinstance(found, DeviceOffline) and tries < _RECOVERY_TRIES:
            tries += 1
            offline = found
            _recover(adb, str(found.details.get("serial", "")))
            continue
        if isinstance(found, DeviceAmbiguous) or time.monotonic() >= deadline:
            raise found
        time.sleep(_POLL_SECONDS)


def connect(adb: Adb, address: str) -> None:
    """Connect to a phone over the network.

    Raises:
        DeviceMissing: nothing answers there.
        DeviceUnauthorized: it has not allowed this computer.
        DeviceOffline: it answers and does not speak adb.
    """
    reply = adb.run(["connect", address], timeout=15, check=False)
    said = (reply.stdout + reply.stderr).decode("utf-8", "replace")
    # adb ends with 0 whatever happened: only its words tell.
    if not re.match(r"(?:already )?connected to ", said):
        raise faults.fault(said, address) or DeviceMissing(
            f"no phone answers at {clean(address)}: {clean(said)}", hint=faults.LIST
        )


def reconnect(adb: Adb, serial: str, *, timeout: float = 5.0) -> None:
    """Make adb connect to one phone again, which also makes an unauthorized one ask again.

    The adb server and the other phones stay as they are. Whether it helped shows in ``listed``.
    """
    with suppress(EdgekitError):
        adb.run(["reconnect"], serial=serial, timeout=timeout, check=False)
        # adb forgets a network phone that it is told to drop.
        if _ADDRESS.fullmatch(serial):
            adb.run(["connect", serial], timeout=timeout, check=False)


def watch(adb: Adb, *, every: float = 0.5) -> Iterator[tuple[str, Listed]]:
    """Each change of what adb lists, for ever: ("added" | "changed" | "removed", the phone).

    The phones that are there at the start come first, as added.

    Raises:
        AdbServerFailed: the adb server does not answer.
    """
    before: dict[str, Listed] = {}
    while True:
        now = {row.serial: row for row in listed(adb)}
        for serial, row in now.items():
            if serial not in before:
                yield "added", row
            elif before[serial] != row:
                yield "changed", row
        for serial, row in before.items():
            if serial not in now:
                yield "removed", row
        before = now
        time.sleep(every)


def worst(rows: list[Listed]) -> EdgekitError:
    """The error of a command that found no usable phone in ``rows``."""
    errors = [row.error() for row in rows if not row.usable]
    return max(errors, key=lambda error: error.exit_status, default=_none())


def _pick(rows: list[Listed], wanted: str | None) -> str | EdgekitError:
    if wanted is not None:
        for row in rows:
            if row.serial == wanted:
                return row.serial if row.usable else row.error()
        return _unknown(rows, wanted)
    usable = [row for row in rows if row.usable]
    if len(usable) == 1:
        return usable[0].serial
    if usable:
        return DeviceAmbiguous(
            f"{len(usable)} phones are connected: {', '.join(row.name for row in usable[:8])}",
            hint=f"Choose one: --serial {faults.shown(usable[0].serial)}, or set ANDROID_SERIAL.",
            serials=[row.serial for row in usable],
        )
    return worst(rows)


def _none(message: str = "no phone is connected") -> DeviceMissing:
    return DeviceMissing(
        message,
        hint="Connect one by USB and unlock it; turn on USB debugging in its developer options "
        "(tapping Build number seven times shows them). Then run: edgekit devices",
    )


def _unknown(rows: list[Listed], wanted: str) -> DeviceMissing:
    if not rows:
        return _none(f"no phone is connected, so not {clean(wanted, most=80)} either")
    near = get_close_matches(wanted, [row.serial for row in rows], n=1, cutoff=0.5)
    hint = f"Did you mean {faults.shown(near[0])}? " if near else ""
    return DeviceMissing(
        f"no phone {clean(wanted, most=80)} is connected",
        hint=f"{hint}Connected: {', '.join(row.name for row in rows[:8])}.",
        nearest=near[0] if near else None,
    )


def _connection_error(adb: Adb, address: str) -> EdgekitError | None:
    """Why a network address cannot be connected to; None when it is connected now."""
    try:
        connect(adb, address)
    except EdgekitError as error:
        return error
    return None


def _recover(adb: Adb, serial: str) -> None:
    """Reconnect an offline phone; done when it is usable, or after a moment."""
    end = time.monotonic() + _RECOVERY_SECONDS
    reconnect(adb, serial, timeout=_RECOVERY_SECONDS)
    while time.monotonic() < end:
        if any(row.serial == serial and row.usable for row in listed(adb)):
            return
        time.sleep(0.1)
