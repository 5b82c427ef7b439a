"""A recorded phone: replayed it gives the same answers, and nothing in it names anybody."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edgekit.device import health, transcript
from edgekit.device import phone as facts
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from edgekit.errors import CannotWrite, OutputExists, StorageFull
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.fixtures import MakePhone


def shell_of(server: AdbServer, phone: ScriptedPhone) -> Shell:
    return Shell(Adb(server.program, server.whole_environment()), phone.serial)


@pytest.mark.parametrize("api", [24, 30, 35])
def test_a_recording_can_be_replayed(
    adb_server: AdbServer, make_phone: MakePhone, tmp_path: Path, api: int
) -> None:
    original = make_phone(api)
    shell = shell_of(adb_server, original)
    file = tmp_path / "phone.json"
    transcript.write(file, transcript.record(shell))
    assert original.settings == original.settings_at_start
    assert original.files() == []
    copy = make_phone(transcript=file)
    again = shell_of(adb_server, copy)
    before, after = facts.about(shell).as_dict(), facts.about(again).as_dict()
    assert {**after, "serial": ""} == {**before, "serial": ""}
    assert health.read(again) == health.read(shell)
    assert copy.unknown == []


SECRETS = {
    "serial": "R5CT30SECRET",
    "IMEI": "356938035643809",
    "account": "jane.doe+x@example.com",
    "MAC": "a4:50:46:0c:de:ff",
    "address": "192.168.178.23",
    "address 6": "fe80:0:0:0:a650:46ff:fe0c:deff",
    "short address 6": "fe80::a650:46ff:fe0c:deff",
    "Wi-Fi": "Jane's Home",
    "telephone": "+49 170 1234567",
    "Android id": "9774d56d682e549c",
    "device name": "Janes Phone",
    "ICCID": "89490200001234567890",
}


def test_nobody_is_named(adb_server: AdbServer, make_phone: MakePhone) -> None:
    phone = make_phone(35, serial=SECRETS["serial"])
    phone.settings["secure", "android_id"] = SECRETS["Android id"]
    phone.settings["global", "device_name"] = SECRETS["device name"]
    told = "\n".join(
        (
            f"serial {SECRETS['serial']} IMEI {SECRETS['IMEI']}",
            f"Account {{name={SECRETS['account']}, type=com.google}}",
            f"mac={SECRETS['MAC']} ip {SECRETS['address']}/24 {SECRETS['address 6']}",
            f'SSID: "{SECRETS["Wi-Fi"]}", link {SECRETS["short address 6"]}',
            f"tel {SECRETS['telephone']} sim {SECRETS['ICCID']}",
            f"{SECRETS['Android id'].upper()} of {SECRETS['device name']}",
        )
    ).encode()
    for words in (*transcript.QUESTIONS, facts.PRESENT):
        if words not in (facts.PRESENT, ("getprop", "ro.build.version.sdk")):
            phone.faults.answers[words] = told
    text = json.dumps(transcript.record(shell_of(adb_server, phone)))
    for name, secret in SECRETS.items():
        assert secret.lower() not in text.lower(), name
    assert phone.serial not in text
    assert text.count("REDACTED") > 20


def test_installed_apps_are_not_recorded(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    phone.faults.answers[health.POWER] = (
        b"  mWakefulness=Awake\n  PARTIAL_WAKE_LOCK 'com.example.dating' ON\n"
    )
    phone.faults.answers[health.WINDOW] = (
        b"  mCurrentFocus=Window{1 u0 com.example.bank/.Main}\n    showing=false\n"
    )
    recorded = transcript.record(shell_of(adb_server, phone))
    stdout = {tuple(each["words"]): each["stdout"] for each in recorded["answers"]}
    assert stdout[health.POWER] == "  mWakefulness=Awake\n"
    assert stdout[health.WINDOW] == "    showing=false\n"


def test_what_is_no_secret_stays() -> None:
    kept = (
        "google/x/x:14/AP4A.250105.002/12701944:user/release-keys 6.1.99-android14 "
        "MemTotal: 11875432 kB\n  Charge counter: 3912000\nprocessor\t: 0\n2024-05-01 10:00:00\n"
    )
    assert transcript.redact(kept, ["", "null", "0"]) == kept


def test_only_questions_are_asked(adb_server: AdbServer, phone: ScriptedPhone) -> None:
    transcript.record(shell_of(adb_server, phone))
    asked = {words for words in phone.executed if words[0] != "echo"}
    for words in asked:
        assert words[0] in {"getprop", "uname", "cat", "df", "dumpsys", "settings"}
        assert words[0] != "settings" or words[1] == "get"


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "phone.json"
    file.write_text("mine")
    with pytest.raises(OutputExists):
        transcript.write(file, {"schema": 1})
    assert file.read_text() == "mine"
    assert os.listdir(tmp_path) == ["phone.json"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        transcript.write(tmp_path / "none" / "phone.json", {"schema": 1})


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(StorageFull):
            transcript.write(small / "phone.json", {"answers": ["x" * 200_000]})
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
