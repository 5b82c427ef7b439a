"""Which phone a command is for, with the real adb and scripted phones in every state."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import pytest

from edgekit.device import inventory, survey
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceAmbiguous,
    DeviceMissing,
    DeviceOffline,
    DeviceTimeout,
    DeviceUnauthorized,
    DeviceUnready,
    EdgekitError,
    PermissionRefused,
)
from tests.support.phone import AdbServer, Faults, ScriptedPhone
from tests.support.phone.fixtures import MakePhone


@pytest.fixture
def client(adb_server: AdbServer) -> Adb:
    return Adb(adb_server.program, adb_server.whole_environment())


@pytest.mark.parametrize(
    ("line", "serial", "state", "model"),
    [
        ("R5CT30 device usb:1-1 product:a model:Pixel_8 device:b", "R5CT30", "device", "Pixel_8"),
        ("emulator-5554          offline", "emulator-5554", "offline", ""),
        ("0123 unauthorized usb:3-2 transport_id:7", "0123", "unauthorized", ""),
        (
            "????????????           no permissions (user in plugdev group); see [http://x.y/z]",
            "????????????",
            "no permissions",
            "",
        ),
        ("R5 no permissions usb:1-1 transport_id:2", "R5", "no permissions", ""),
        ("R5\trecovery", "R5", "recovery", ""),
        ("192.168.1.9:5555 connecting", "192.168.1.9:5555", "connecting", ""),
        ("a; reboot $(x) device model:\x1b[2Jevil", "a; reboot $(x)", "device", "[2Jevil"),
    ],
)
def test_a_line_of_the_list(line: str, serial: str, state: str, model: str) -> None:
    row = inventory.parse(line)
    assert row is not None
    assert (row.serial, row.state, row.model) == (serial, state, model)
    assert row.usable is (state == "device")
    assert bool(row.fix) is not row.usable
    assert row.name.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "List of devices attached",
        "* daemon not running; starting now at tcp:5037",
        "* daemon started successfully",
        "nonsense",
    ],
)
def test_a_line_about_no_phone(line: str) -> None:
    assert inventory.parse(line) is None


@pytest.mark.parametrize(
    ("state", "kind", "status"),
    [
        ("unauthorized", DeviceUnauthorized, 77),
        ("no permissions", PermissionRefused, 77),
        ("offline", DeviceOffline, 75),
        ("authorizing", DeviceOffline, 75),
        ("recovery", DeviceUnready, 75),
        ("sideload", DeviceUnready, 75),
        ("bootloader", DeviceUnready, 75),
    ],
)
def test_each_bad_state_has_its_error_and_its_fix(
    state: str, kind: type[EdgekitError], status: int
) -> None:
    row = inventory.parse(f"R5;x {state}")
    assert row is not None
    error = row.error()
    assert type(error) is kind
    assert error.exit_status == status
    assert error.hint == row.fix != ""
    # A serial in a command of a hint is one word, whatever it holds.
    assert "SERIAL" not in row.fix
    assert " -s " not in row.fix or "'R5;x'" in row.fix


def test_no_phone(client: Adb) -> None:
    with pytest.raises(DeviceMissing, match="no phone is connected") as caught:
        inventory.choose(client)
    assert "USB debugging" in caught.value.hint
    with pytest.raises(DeviceMissing, match="so not R5 either"):
        inventory.choose(client, "R5")
    with pytest.raises(DeviceMissing):
        survey.survey(client)


def test_the_only_phone(client: Adb, phone: ScriptedPhone) -> None:
    assert inventory.choose(client) == phone.serial
    (row,) = inventory.listed(client)
    assert (row.serial, row.state, row.fix) == (phone.serial, "device", "")
    assert row.model == "Finch_8_Pro"


def test_several_phones(client: Adb, make_phone: MakePhone) -> None:
    one, two = make_phone(35), make_phone(30)
    with pytest.raises(DeviceAmbiguous) as caught:
        inventory.choose(client)
    for word in (one.serial, two.serial, "Finch_8_Pro", "Wren_5"):
        assert word in caught.value.message
    assert caught.value.exit_status == 64
    assert inventory.choose(client, two.serial) == two.serial
    named = Adb(client.program, {**client.variables(), "ANDROID_SERIAL": one.serial})
    assert inventory.choose(named) == one.serial
    assert inventory.choose(named, two.serial) == two.serial


def test_the_nearest_serial_is_named(client: Adb, phone: ScriptedPhone) -> None:
    wrong = phone.serial.replace("127.0.0.1", "127.0.0.l").replace(":", "_")
    with pytest.raises(DeviceMissing) as caught:
        inventory.choose(client, wrong)
    assert f"Did you mean {phone.serial}?" in caught.value.hint
    assert caught.value.details["nearest"] == phone.serial


def test_an_address_is_connected_to(client: Adb, make_phone: MakePhone) -> None:
    phone = make_phone(connect=False)
    assert inventory.choose(client, phone.serial) == phone.serial


def test_an_address_where_nobody_is(client: Adb, make_phone: MakePhone) -> None:
    phone = make_phone(connect=False)
    phone.unplug()
    before = time.monotonic()
    with pytest.raises(DeviceMissing, match="no phone answers"):
        inventory.choose(client, phone.serial)
    assert time.monotonic() - before < 2
    # The reason for not trusting adb's status: it is 0.
    assert client.run(["connect", phone.serial], check=False).status == 0


def test_not_allowed_and_then_allowed(client: Adb, make_phone: MakePhone) -> None:
    phone = make_phone(faults=Faults(unauthorized=True))
    with pytest.raises(DeviceUnauthorized) as caught:
        inventory.choose(client)
    assert "Allow" in caught.value.hint
    threading.Timer(0.6, phone.allow).start()
    assert inventory.choose(client, wait=10) == phone.serial


def test_waiting_has_an_end(client: Adb) -> None:
    before = time.monotonic()
    with pytest.raises(DeviceMissing):
        inventory.choose(client, wait=0.6)
    assert 0.5 < time.monotonic() - before < 2


def test_a_phone_that_comes_while_waiting(
    client: Adb, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    phone = make_phone(connect=False)
    threading.Timer(0.5, lambda: adb_server.connect(phone)).start()
    assert inventory.choose(client, wait=10) == phone.serial


def test_offline_is_tried_twice_and_named_soon(
    client: Adb, adb_server: AdbServer, phone: ScriptedPhone
) -> None:
    phone.unplug()
    adb_server.wait(phone, "offline")
    before = time.monotonic()
    with pytest.raises((DeviceOffline, DeviceMissing)) as caught:
        inventory.choose(client, phone.serial)
    assert time.monotonic() - before < 2
    assert caught.value.hint
    # The server that was there before is there still.
    assert client.run(["devices"]).stderr == b""


def test_offline_is_recovered_and_the_others_stay(
    client: Adb, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    other = make_phone(30, faults=Faults(unauthorized=True))
    phone = make_phone(35)
    phone.unplug()
    adb_server.wait(phone, "offline")
    phone.plug()
    assert inventory.choose(client, phone.serial) == phone.serial
    assert adb_server.state(other) == "unauthorized"


def test_a_phone_that_says_nothing(
    client: Adb, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    phone = make_phone(30)
    phone.faults.offline = True
    with pytest.raises((DeviceOffline, DeviceTimeout)) as caught:
        Shell(client, inventory.choose(client)).run(["true"], timeout=1)
    assert caught.value.exit_status == 75


def test_changes_are_watched(client: Adb, adb_server: AdbServer, phone: ScriptedPhone) -> None:
    seen = inventory.watch(client, every=0.05)
    kind, row = next(seen)
    assert (kind, row.serial, row.state) == ("added", phone.serial, "device")
    threading.Timer(0.2, phone.unplug).start()
    kind, row = next(seen)
    assert (kind, row.state) == ("changed", "offline") or kind == "removed"
    adb_server.disconnect(phone)
    while kind != "removed":
        kind, row = next(seen)
    assert row.serial == phone.serial


def test_one_bad_phone_does_not_hide_the_good(client: Adb, make_phone: MakePhone) -> None:
    good = make_phone(35)
    bad = make_phone(30, faults=Faults(unauthorized=True))
    found = {one.listed.serial: one for one in survey.survey(client)}
    assert found[good.serial].error is None
    assert found[good.serial].phone is not None
    assert isinstance(found[bad.serial].error, DeviceUnauthorized)
    assert survey.status(list(found.values())) == 0
    assert survey.status([found[bad.serial]]) == 77
    assert inventory.choose(client) == good.serial


def test_no_adb_is_left_running(client: Adb, phone: ScriptedPhone) -> None:
    inventory.choose(client)
    mine = ["pgrep", "-P", str(os.getpid()), "adb"]
    assert subprocess.run(mine, capture_output=True, check=False).stdout == b""
