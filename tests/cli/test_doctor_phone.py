"""doctor with a phone: each finding with its fix, and the recording of a phone."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.support.phone import AdbServer, Faults
from tests.support.phone.fixtures import MakePhone

Environment = dict[str, str]


@pytest.fixture
def env(adb_server: AdbServer) -> Environment:
    return {**adb_server.environment, "ANDROID_SERIAL": ""}


def examined(edgekit: Program, env: Environment, *words: str) -> tuple[int, dict[str, Any]]:
    done = edgekit("doctor", "--device", "--json", *words, env=env)
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    return done.returncode, {**document, "checks": checks}


def test_a_good_phone(edgekit: Program, env: Environment, make_phone: MakePhone) -> None:
    phone = make_phone(35)
    status, found = examined(edgekit, env)
    assert (status, found["usable"]) == (0, True)
    assert {check["status"] for check in found["checks"].values()} == {"ok"}
    shown = edgekit("doctor", "--device", env=env)
    assert shown.stdout.endswith("edgekit can use this phone.\n")
    assert "to mend" not in shown.stdout
    assert phone.unknown == []


@pytest.mark.parametrize(
    ("name", "change", "status"),
    [
        ("battery", {"battery_percent": 20}, "warning"),
        ("battery", {"battery_percent": 9}, "missing"),
        ("heat", {"thermal": [3]}, "warning"),
        ("heat", {"battery_celsius": 45.0}, "warning"),
        ("lock", {"locked": True}, "warning"),
        ("Android", {"properties": {"ro.build.version.sdk": "23"}}, "warning"),
    ],
)
def test_each_finding_has_its_fix(
    edgekit: Program,
    env: Environment,
    make_phone: MakePhone,
    name: str,
    change: dict[str, Any],
    status: str,
) -> None:
    make_phone(35, faults=Faults(**change))
    code, found = examined(edgekit, env)
    assert code == 0
    assert found["checks"][name]["status"] == status
    assert found["checks"][name]["fix"]
    assert found["checks"][name]["fix"] in edgekit("doctor", "--device", env=env).stdout


def test_storage_and_saver(edgekit: Program, env: Environment, make_phone: MakePhone) -> None:
    phone = make_phone(35)
    phone.storage_free = 10**8
    phone.settings["global", "low_power"] = "1"
    checks = examined(edgekit, env)[1]["checks"]
    assert checks["storage"]["status"] == "warning"
    assert checks["battery saver"]["status"] == "warning"


def test_an_old_phone(edgekit: Program, env: Environment, make_phone: MakePhone) -> None:
    make_phone(24, shell_v2=False, terminal=True)
    status, found = examined(edgekit, env)
    assert status == 0
    assert found["checks"]["exit statuses"]["status"] == "warning"
    assert found["checks"]["heat"]["status"] == "ok"


def test_a_phone_of_another_kind(edgekit: Program, env: Environment, make_phone: MakePhone) -> None:
    kinds = {"ro.product.cpu.abilist": "armeabi-v7a,armeabi", "ro.product.cpu.abi": "armeabi-v7a"}
    make_phone(30, faults=Faults(properties=kinds))
    status, found = examined(edgekit, env)
    assert status == 78
    assert found["error"]["code"] == "unsupported"
    assert "armeabi-v7a" in found["error"]["message"]


def test_no_phone(edgekit: Program, env: Environment) -> None:
    status, found = examined(edgekit, env)
    assert (status, found["usable"]) == (69, False)
    assert found["checks"]["adb server"]["status"] == "ok"
    assert found["checks"]["phone"]["status"] == "missing"


def test_no_adb(edgekit: Program, env: Environment) -> None:
    status, found = examined(edgekit, {**env, "EDGEKIT_ADB": "/nowhere/adb"})
    assert status == 69
    assert found["checks"]["adb"]["status"] == "missing"


def test_no_server(edgekit: Program, env: Environment) -> None:
    status, found = examined(edgekit, {**env, "ADB_SERVER_SOCKET": "tcp:127.0.0.1:1"})
    assert status == 75
    assert found["checks"]["adb server"]["status"] == "missing"


def test_a_wrong_serial(edgekit: Program, env: Environment, make_phone: MakePhone) -> None:
    phone = make_phone(35)
    status, found = examined(edgekit, env, "--serial", phone.serial + "9" * 6)
    assert status == 69
    assert phone.serial in found["error"]["hint"]


def test_the_screen_is_woken_when_asked(
    edgekit: Program, env: Environment, make_phone: MakePhone
) -> None:
    phone = make_phone(35)
    phone.screen_on = False
    assert examined(edgekit, env)[1]["checks"]["screen"]["status"] == "warning"
    assert phone.screen_on is False
    assert examined(edgekit, env, "--fix")[1]["checks"]["screen"]["status"] == "ok"
    assert phone.screen_on is True


def test_the_phone_is_asked_again(
    edgekit: Program, env: Environment, make_phone: MakePhone
) -> None:
    phone = make_phone(35, faults=Faults(unauthorized=True))
    status, found = examined(edgekit, env)
    assert (status, found["error"]["code"]) == (77, "device-unauthorized")
    threading.Timer(3, phone.allow).start()
    assert examined(edgekit, env, "--fix")[0] == 0


def test_a_phone_is_recorded(
    edgekit: Program, env: Environment, make_phone: MakePhone, tmp_path: Path
) -> None:
    phone = make_phone(30, serial="SECRETSERIAL")
    done = edgekit("doctor", "--record", "phone.json", env=env)
    assert done.returncode == 0
    assert "Read it before you send" in done.stdout
    assert "getprop ro.product.model" in done.stderr
    text = (tmp_path / "phone.json").read_text()
    data = json.loads(text)
    assert (data["schema"], data["api"]) == (1, 30)
    assert "SECRETSERIAL" not in text
    assert phone.settings == phone.settings_at_start
    again = edgekit("doctor", "--record", "phone.json", "--json", env=env)
    assert (again.returncode, json.loads(again.stdout)["error"]["code"]) == (73, "output-exists")
    assert (tmp_path / "phone.json").read_text() == text


def test_recording_needs_a_phone(edgekit: Program, env: Environment, tmp_path: Path) -> None:
    assert edgekit("doctor", "--record", "phone.json", env=env).returncode == 69
    assert list(tmp_path.iterdir()) == []
