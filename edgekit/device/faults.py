"""What adb's and the phone's complaints mean: rows of data, tried from the top.

The texts were recorded from adb 29.0.6, or are those of its sources for the ones that need real
hardware; ``tests/device/test_faults.py`` holds them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from edgekit.device.protocol import clean
from edgekit.errors import (
    AdbServerFailed,
    DeviceAmbiguous,
    DeviceMissing,
    DeviceOffline,
    DevicePermission,
    DeviceStorageFull,
    DeviceUnauthorized,
    EdgekitError,
    PermissionRefused,
    SpecError,
    TransferBroken,
)

_LOOKED_AT = 8 * 1024  # characters at each end of a complaint
LIST = "See what is connected: edgekit devices"
ALLOW = (
    "Unlock the phone and tap Allow on 'Allow USB debugging?'; without the question, unplug it, "
    "or choose Revoke USB debugging authorizations in its developer options, and plug it in again."
)
UDEV = (
    "Linux: sudo apt-get install android-sdk-platform-tools-common, then plug the phone in again; "
    "or choose File transfer in the phone's USB notification."
)
RECONNECT = "Plug the cable in again (another port, no hub), then try again."
SAME_ADB = (
    "Two versions of adb fight over one server. Name the one that the others use: "
    "export EDGEKIT_ADB=PATH_OF_ADB"
)


@dataclass(frozen=True)
class Row:
    """One kind of complaint.

    Attributes:
        pattern: what the complaint looks like.
        kind: the error that it becomes.
        message: said to the user; ``{serial}`` is the phone, ``{said}`` the line that matched.
        hint: what the user can do.
        by_adb: whether adb itself says it, and not a program on the phone.
    """

    pattern: re.Pattern[str]
    kind: type[EdgekitError]
    message: str
    hint: str
    by_adb: bool = True


def _row(
    pattern: str, kind: type[EdgekitError], message: str, hint: str, by_adb: bool = True
) -> Row:
    return Row(re.compile(pattern, re.MULTILINE | re.IGNORECASE), kind, message, hint, by_adb)


ROWS = (
    _row(
        r"adb server version \(\d+\) doesn't match this client \(\d+\)",
        AdbServerFailed,
        "the running adb server is of another version: {said}",
        SAME_ADB,
    ),
    _row(
        r"\$ANDROID_ADB_SERVER_PORT must be|unknown socket specification",
        SpecError,
        "the address of the adb server makes no sense: {said}",
        "Look at ADB_SERVER_SOCKET (tcp:HOST:PORT) and ANDROID_ADB_SERVER_PORT.",
    ),
    _row(
        r"cannot start server on remote host",
        AdbServerFailed,
        "no adb server answers at ADB_SERVER_SOCKET: {said}",
        "On the remote machine run: adb -a nodaemon server start",
    ),
    _row(
        r"failed to start daemon|cannot connect to daemon|failed to check server version"
        r"|could not (?:start|install) [^\n]{0,200}(?:server|listener)"
        r"|unable to connect to the adb daemon|server didn't ACK",
        AdbServerFailed,
        "the adb server does not start or does not answer: {said}",
        "Another program may hold its port; try: adb kill-server && adb start-server",
    ),
    _row(
        r"more than one (?:device|emulator)",
        DeviceAmbiguous,
        "several phones are connected",
        "Choose one: --serial SERIAL, or export ANDROID_SERIAL=SERIAL",
    ),
    _row(
        r"no devices/emulators found|no devices found|^error: device not found",
        DeviceMissing,
        "no phone is connected",
        "Connect one with USB debugging on; edgekit doctor --device explains how.",
    ),
    _row(
        r"(?:device|transport) '[^\n]{0,300}' not found|no such device",
        DeviceMissing,
        "{serial} is not connected",
        LIST,
    ),
    _row(
        r"device unauthorized|failed to authenticate to|device (?:still )?authorizing",
        DeviceUnauthorized,
        "{serial} has not allowed this computer to debug it",
        ALLOW,
    ),
    _row(
        r"no permissions|insufficient permissions for device|user (?:is not )?in the plugdev group",
        PermissionRefused,
        "this computer may not open {serial}: {said}",
        UDEV,
    ),
    _row(
        r"device offline|device (?:still )?connecting",
        DeviceOffline,
        "{serial} is connected and does not answer",
        RECONNECT,
    ),
    _row(
        r"failed to resolve host|(?:failed|unable|cannot) to connect to|cannot connect to"
        r"|bad port number|empty (?:host|address)",
        DeviceMissing,
        "no phone answers at that address: {said}",
        "Look at the phone's Wireless debugging page, then run: adb connect HOST:PORT",
    ),
    _row(
        r"no space left on device|not enough space|disk quota exceeded",
        DeviceStorageFull,
        "the storage of {serial} is full: {said}",
        "Free some space on the phone, then try again.",
        False,
    ),
    _row(
        r"permission denied|operation not permitted|read-only file system|not debuggable"
        r"|remote object '[^\n]{0,1000}' does not exist|remote secure_mkdirs failed",
        DevicePermission,
        "{serial} refuses it: {said}",
        "The shell user of adb may only use /data/local/tmp; nothing of edgekit needs root.",
        False,
    ),
    _row(
        r"couldn't read from device|failed to (?:copy|read|write)|connection reset|broken pipe"
        r"|protocol fault|^(?:adb: )?error: closed|unexpected (?:eof|end)|device disconnected",
        TransferBroken,
        "the connection to {serial} broke off: {said}",
        RECONNECT,
    ),
)


def fault(said: str, serial: str | None, *, by_adb: bool | None = None) -> EdgekitError | None:
    """The typed error for what adb or the phone said; None when no row knows it.

    Args:
        said: stderr, and stdout where complaints go there (``adb connect``).
        serial: the phone that it is about, for the message.
        by_adb: True for the complaints of adb alone, False for those of the phone; None for all.
    """
    said = said if len(said) <= 2 * _LOOKED_AT else said[:_LOOKED_AT] + said[-_LOOKED_AT:]
    for row in ROWS:
        if by_adb is not None and row.by_adb is not by_adb:
            continue
        found = row.pattern.search(said)
        if found:
            start = said.rfind("\n", 0, found.start()) + 1
            end = said.find("\n", found.end())
            line = clean(said[start : end if end >= 0 else len(said)])
            name = clean(serial, most=80) if serial else "the phone"
            return row.kind(row.message.format(serial=name, said=line), hint=row.hint, said=line)
    return None


def shown(serial: str) -> str:
    """A serial for a command in a hint: it cannot do more there than name a phone."""
    return shlex.quote(clean(serial, most=80))
