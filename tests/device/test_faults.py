"""What adb and phones were heard to say, and the error that each becomes."""

from __future__ import annotations

import time

import pytest

from edgekit.device.faults import fault
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

CLASH = """adb server version (1) doesn't match this client (41); killing...
ADB server didn't ACK
* failed to start daemon
adb: failed to check server version: cannot connect to daemon"""
REMOTE = """* cannot start server on remote host
adb: failed to check server version: cannot connect to daemon at tcp:127.0.0.1:15699: failed \
to connect to '127.0.0.1:15699': Connection refused"""
HELD = """* daemon not running; starting now at tcp:5037
ADB server didn't ACK
adb F 11-21 17:15:46 11076 11076 main.cpp:144] could not install *smartsocket* listener: Address \
already in use
* failed to start daemon
error: cannot connect to daemon"""
VENDOR = """error: device unauthorized.
This adb server's $ADB_VENDOR_KEYS is not set
Try 'adb kill-server' if that seems wrong.
Otherwise check for a confirmation dialog on your device."""
PUSH = "adb: error: failed to copy 'a.bin' to '/data/local/tmp/a.bin': "
UDEV = (
    "error: insufficient permissions for device: user in plugdev group; are your udev rules wrong?"
)

HEARD: list[tuple[str, type[EdgekitError], int]] = [
    ("error: no devices/emulators found", DeviceMissing, 69),
    ("error: device 'emulator-5554' not found", DeviceMissing, 69),
    ("adb: error: failed to get feature set: device 'x' not found", DeviceMissing, 69),
    ("error: device 'it's' not found", DeviceMissing, 69),
    ("error: more than one device/emulator", DeviceAmbiguous, 64),
    ("adb: error: failed to get feature set: more than one device/emulator", DeviceAmbiguous, 64),
    (VENDOR, DeviceUnauthorized, 77),
    ("failed to authenticate to 127.0.0.1:5555", DeviceUnauthorized, 77),
    ("error: device still authorizing", DeviceUnauthorized, 77),
    (UDEV, PermissionRefused, 77),
    ("error: device offline", DeviceOffline, 75),
    ("error: device still connecting", DeviceOffline, 75),
    ("failed to connect to '127.0.0.1:1': Connection refused", DeviceMissing, 69),
    ("failed to resolve host: 'nowhere.invalid': Name not known", DeviceMissing, 69),
    ("cannot connect to 10.0.0.9:5555: No route to host (113)", DeviceMissing, 69),
    (CLASH, AdbServerFailed, 75),
    (REMOTE, AdbServerFailed, 75),
    (HELD, AdbServerFailed, 75),
    (
        "adb: failed to check server version: protocol fault (status 48 54 54 50?!)",
        AdbServerFailed,
        75,
    ),
    (
        "* cannot start server on remote host\nadb: failed to check server version: cannot "
        "connect to daemon at nonsense: unknown socket specification: nonsense",
        SpecError,
        64,
    ),
    ("adb: $ANDROID_ADB_SERVER_PORT must be a positive number", SpecError, 64),
    (PUSH + "remote couldn't write file: No space left on device", DeviceStorageFull, 74),
    (PUSH + "remote No space left on device", DeviceStorageFull, 74),
    (PUSH + "couldn't read from device", TransferBroken, 75),
    (PUSH + "remote couldn't create file: Permission denied", DevicePermission, 77),
    (PUSH + "remote couldn't create file: Read-only file system", DevicePermission, 77),
    ("adb: error: remote object '/data/x' does not exist", DevicePermission, 77),
    ("adb: error: failed to read copy response: EOF", TransferBroken, 75),
    ("error: closed", TransferBroken, 75),
    ("mkdir: '/data/x': Permission denied", DevicePermission, 77),
    ("run-as: package not debuggable: com.example", DevicePermission, 77),
    ("sh: write: No space left on device", DeviceStorageFull, 74),
]


@pytest.mark.parametrize(("said", "kind", "status"), HEARD, ids=range(len(HEARD)))
def test_what_was_heard_is_typed(said: str, kind: type[EdgekitError], status: int) -> None:
    found = fault(said, "R5CT10")
    assert type(found) is kind
    assert found.exit_status == status
    assert found.hint
    assert found.message.isprintable()
    assert "{" not in found.message


@pytest.mark.parametrize(
    "said", ["", "\n", "* daemon started successfully", "12 files pushed, 0 skipped", "df: bad"]
)
def test_what_is_no_fault(said: str) -> None:
    assert fault(said, None) is None


def test_the_phone_and_the_line_are_named() -> None:
    found = fault("one\n" + PUSH + "remote No space left on device\nthree", "R5CT10")
    assert found is not None
    assert "R5CT10" in found.message
    assert "No space left" in found.message
    assert "three" not in found.message


def test_complaints_of_adb_and_of_the_phone_are_told_apart() -> None:
    full = "cp: No space left on device"
    assert fault(full, None, by_adb=True) is None
    assert isinstance(fault(full, None, by_adb=False), DeviceStorageFull)
    assert fault("error: device offline", None, by_adb=False) is None


def test_a_hostile_complaint_is_cleaned_and_quick() -> None:
    evil = "error: device '" * 60_000 + "\x1b[2J' not foun\n{serial}{said}{0}"
    before = time.perf_counter()
    found = fault(evil + "\nerror: device offline \x1b[31m{boom}", "\x1b[2J{serial}\n$(x)")
    assert time.perf_counter() - before < 1
    assert found is not None
    assert found.message.isprintable()
    assert len(found.message) < 1000
