"""How a phone is: what it says, what it does not say, and what it says wrongly."""

from __future__ import annotations

import json

import pytest

from edgekit.device import health
from edgekit.device.adb import Adb
from edgekit.device.phone import CPUS, PRESENT
from edgekit.device.shell import Shell
from edgekit.errors import DeviceOffline
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone


def read(server: AdbServer, phone: ScriptedPhone) -> health.Health:
    shell = Shell(Adb(server.program, server.whole_environment()), phone.serial)
    return health.read(shell)


@pytest.mark.parametrize("more", [{}, {"shell_v2": False, "terminal": True}])
@pytest.mark.parametrize(("api", "cores"), [(24, 4), (30, 8), (35, 9)])
def test_three_versions(
    adb_server: AdbServer, make_phone: MakePhone, api: int, cores: int, more: dict[str, bool]
) -> None:
    phone = make_phone(api, **more)
    found = read(adb_server, phone)
    assert found.battery_percent is not None
    assert 0 < found.battery_percent <= 100
    assert found.battery_celsius is not None
    assert 20 < found.battery_celsius < 40
    assert found.battery_volts is not None
    assert 3 < found.battery_volts < 5
    assert found.charging is True
    assert found.screen_on is True
    assert found.locked is False
    assert found.memory_free is not None
    assert [cpu.index for cpu in found.cpus] == list(range(cores))
    for cpu in found.cpus:
        assert cpu.khz is not None
        assert cpu.max_khz is not None
        assert 0 < cpu.khz <= cpu.max_khz
        assert cpu.governor
    # Android 7 has no thermal service: unknown, and no error.
    assert found.thermal_status == (None if api == 24 else 0)
    assert json.loads(json.dumps(found.as_dict()))["cpus"][0]["index"] == 0
    assert phone.unknown == []


def test_what_changes_is_seen(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.faults.battery_percent = 12
    phone.faults.thermal = [3]
    phone.faults.locked = True
    phone.screen_on = False
    phone.settings["global", "low_power"] = "1"
    found = read(adb_server, phone)
    assert found.battery_percent == 12
    assert found.thermal_status == 3
    assert found.locked is True
    assert found.screen_on is False
    assert found.power_saver is True


def test_a_scale_that_is_not_100(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.faults.answers[health.BATTERY] = b"  level: 128\n  scale: 255\n  temperature: -55\n"
    found = read(adb_server, phone)
    assert found.battery_percent == 50
    assert found.battery_celsius == -5.5
    assert found.charging is None


@pytest.mark.parametrize(
    ("window", "locked"),
    [
        (b"    mShowingLockscreen=true mShowingDream=false\n", True),
        (b"    KeyguardServiceDelegate\n      showing=true\n      inputRestricted=true\n", True),
        (b"    KeyguardServiceDelegate\n      showing=false\n      mIsShowing=false\n", False),
        (b"    mKeyguardShowing=false\n    Insets{type=ime showing=true}\n", False),
        (b"  Insets{type=ime showing=true}\n", None),
    ],
)
def test_the_lock(
    adb_server: AdbServer, phone: ScriptedPhone, window: bytes, locked: bool | None
) -> None:
    phone.faults.answers[health.WINDOW] = window
    assert read(adb_server, phone).locked is locked


ASKED = (
    health.BATTERY,
    health.THERMAL,
    health.POWER,
    health.WINDOW,
    health.POWER_SAVER,
    health.CURRENT,
    ("cat", "/proc/meminfo"),
    PRESENT,
)
EMPTY = health.Health()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff\x00\x1b[31m\n" * 100,
        b"  level: -5\n  temperature: 99999999\nThermal Status: 9\nmWakefulness=\nshowing=maybe\n",
        b"  level: 9" + b"9" * 500_000 + b"\nThermal Status: " + b"1" * 500_000,
        b"Can't find service: x\n",
    ],
    ids=["empty", "bytes", "out of range", "long", "no service"],
)
def test_nonsense_is_nothing(adb_server: AdbServer, phone: ScriptedPhone, answer: bytes) -> None:
    for words in ASKED:
        phone.faults.answers[words] = answer
    assert read(adb_server, phone) == EMPTY


def test_a_hostile_governor(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    path = f"{CPUS}/cpu0/cpufreq/scaling_governor"
    phone.sandbox.virtual[path] = lambda: b"$(reboot)\x1b[2J" + b"x" * 100_000
    found = read(adb_server, phone)
    assert found.cpus[0].governor is not None
    assert found.cpus[0].governor.isprintable()
    assert len(found.cpus[0].governor) < 130


def test_a_phone_that_goes_away(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.unplug()
    adb_server.wait(phone, "offline")
    with pytest.raises(DeviceOffline):
        read(adb_server, phone)
