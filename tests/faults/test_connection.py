"""No phone, the wrong one, too many, one that does not allow or does not answer."""

from __future__ import annotations

import threading

import pytest

from tests.faults.adb_impostors import listening
from tests.faults.program import Program
from tests.support.phone import AdbServer, Faults, ScriptedPhone
from tests.support.phone.fixtures import MakePhone


@pytest.fixture
def unauthorized(make_phone: MakePhone) -> ScriptedPhone:
    return make_phone(faults=Faults(unauthorized=True))


@pytest.fixture
def offline(adb_server: AdbServer, phone: ScriptedPhone) -> ScriptedPhone:
    """adb has noticed that the phone went away, and still lists it."""
    phone.unplug()
    adb_server.wait(phone, "offline")
    return phone


def test_no_phone(program: Program, promise: float) -> None:
    for words in (["devices"], ["doctor", "--device"]):
        ended = program(*words, "--json")
        ended.failed("device-missing", 69, "no phone is connected", "USB debugging")
        assert ended.seconds < promise


def test_unauthorized(program: Program, promise: float, unauthorized: ScriptedPhone) -> None:
    ended = program("devices", "--json")
    assert ended.status == 77
    assert ended.seconds < promise
    (found,) = ended.document["devices"]
    assert (found["state"], found["usable"]) == ("unauthorized", False)
    assert found["error"]["code"] == "device-unauthorized"
    assert "tap Allow" in found["fix"]
    ended = program("doctor", "--device", "--json")
    ended.failed("device-unauthorized", 77, unauthorized.serial, "tap Allow")


def test_allowed_while_it_watches(
    program: Program, adb_server: AdbServer, unauthorized: ScriptedPhone
) -> None:
    running = program.start("devices", "--watch")
    assert running.process.stdout is not None
    assert "unauthorized" in running.process.stdout.readline()
    assert "tap Allow" in running.process.stdout.readline()
    running.from_now()
    unauthorized.allow()
    assert running.process.stdout.readline().split()[-1] == "device"
    running.process.terminate()
    assert running.end().status == 143


def test_offline(program: Program, promise: float, offline: ScriptedPhone) -> None:
    listed = program("devices", "--json")
    assert listed.status == 75
    assert listed.document["devices"][0]["error"]["code"] == "device-offline"
    ended = program("doctor", "--device", "--json")
    ended.failed("device-offline", 75, offline.serial, "cable")
    assert ended.seconds < promise


def test_offline_and_back(program: Program, adb_server: AdbServer, offline: ScriptedPhone) -> None:
    offline.plug()
    ended = program("doctor", "--device", "--json")
    assert (ended.status, ended.document["usable"]) == (0, True)


def test_connected_and_silent(
    program: Program, adb_server: AdbServer, promise: float, make_phone: MakePhone
) -> None:
    phone = make_phone(connect=False, faults=Faults(offline=True))
    # adb itself waits ten seconds for it, and lists it as offline meanwhile and after.
    threading.Thread(target=adb_server.connect, args=(phone,), daemon=True).start()
    adb_server.wait(phone, "offline")
    ended = program("doctor", "--device", "--json")
    ended.failed("device-offline", 75, phone.serial, "cable")
    assert ended.seconds < promise


def test_a_silent_phone_and_a_silent_server(
    program: Program, promise: float, phone: ScriptedPhone
) -> None:
    """Each is given ten seconds: at the same time, so that the suite waits only once."""
    phone.faults.offline = True
    with listening(None) as port:
        to_phone = program.start("doctor", "--device", "--json")
        to_server = program.start("devices", "--json", env={"ANDROID_ADB_SERVER_PORT": str(port)})
        server, silent = to_server.end(), to_phone.end()
    silent.failed("device-timeout", 75, phone.serial, "Unlock")
    server.failed("adb-server", 75, "no answer from its server within 10 s", "adb kill-server")
    assert max(server.seconds, silent.seconds) < promise + 10


def test_several_phones(program: Program, promise: float, make_phone: MakePhone) -> None:
    phones = [make_phone(api) for api in (24, 35)]
    ended = program("doctor", "--device", "--json")
    error = ended.failed("device-ambiguous", 64, "Lark_One", "--serial")
    assert all(phone.serial in error["message"] for phone in phones)
    assert ended.seconds < promise
    chosen = program("doctor", "--device", "--json", env={"ANDROID_SERIAL": phones[1].serial})
    assert chosen.status == 0
    assert "Finch 8 Pro" in chosen.out


def test_one_bad_phone_among_good_ones(program: Program, make_phone: MakePhone) -> None:
    good, bad = make_phone(30), make_phone(faults=Faults(unauthorized=True))
    ended = program("devices", "--json")
    assert ended.status == 0
    usable = {row["serial"]: row["usable"] for row in ended.document["devices"]}
    assert usable == {good.serial: True, bad.serial: False}


def test_the_wrong_serial(program: Program, promise: float, phone: ScriptedPhone) -> None:
    wrong = phone.serial.replace(":", ".")
    ended = program("doctor", "--device", "--serial", wrong, "--json")
    ended.failed("device-missing", 69, wrong, f"Did you mean {phone.serial}?")
    assert ended.seconds < promise


def test_connect_that_fails_with_status_0(program: Program, adb_server: AdbServer) -> None:
    with listening(None) as port:
        pass
    said = adb_server.adb("connect", f"127.0.0.1:{port}")
    assert said.returncode == 0
    ended = program("doctor", "--device", "--serial", f"127.0.0.1:{port}", "--json")
    ended.failed("device-missing", 69, "Connection refused", "adb connect")


def test_it_comes_during_a_wait(
    program: Program, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    phone = make_phone(connect=False)
    threading.Timer(1.0, adb_server.connect, [phone]).start()
    running = program.start("devices", "--watch", "--json")
    assert running.process.stdout is not None
    running.process.stdout.readline()
    assert phone.serial in running.process.stdout.readline()
    running.process.terminate()
    ended = running.end()
    assert ended.status == 143


def test_a_hostile_serial(program: Program, phone: ScriptedPhone) -> None:
    for serial in ("$(touch x)", "'; reboot; '", "a\nb", "\x1b[2J", "-e", "127.0.0.1:99999"):
        ended = program("doctor", "--device", "--serial", serial, "--json")
        assert ended.failed("device-missing", 69)["message"].isprintable()
    assert phone.executed == []


def test_a_phone_in_a_bad_state(program: Program, phone: ScriptedPhone) -> None:
    phone.faults.locked, phone.screen_on = True, False
    phone.faults.battery_percent, phone.faults.thermal = 20, [4]
    phone.storage_free = 100 << 20
    ended = program("doctor", "--device", "--json")
    assert (ended.status, ended.document["usable"]) == (0, True)
    fixes = {check["name"]: check["fix"] for check in ended.document["checks"] if check["fix"]}
    assert set(fixes) == {"storage", "battery", "heat", "screen", "lock"}
    assert program("doctor", "--device", "--fix", "--json").status == 0
    assert phone.screen_on is True


def test_a_recorded_phone_is_played_again(
    program: Program, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    real = make_phone(30, serial="IMEI490154203237518")
    assert program("doctor", "--record", "phone.json").status == 0
    text = (program.folder / "phone.json").read_text()
    assert "490154203237518" not in text
    (before,) = program("devices", "--json").document["devices"]
    adb_server.disconnect(real)
    again = make_phone(transcript=program.folder / "phone.json")
    (after,) = program("devices", "--json").document["devices"]
    assert again.unknown == []
    for part in ("phone", "health"):
        changed = {k for k, v in before[part].items() if after[part][k] != v}
        assert changed <= {"serial"}
