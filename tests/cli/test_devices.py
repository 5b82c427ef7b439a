"""edgekit devices: what a person and a program see, with phones in every state."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.device import inventory
from tests.conftest import Program, clean_environment
from tests.support.phone import AdbServer, Faults
from tests.support.phone.fixtures import MakePhone

Environment = dict[str, str]


@pytest.fixture
def env(adb_server: AdbServer) -> Environment:
    return {**adb_server.environment, "ANDROID_SERIAL": ""}


def test_no_adb(edgekit: Program, tmp_path: Path) -> None:
    done = edgekit("devices", "--json", env={"EDGEKIT_ADB": str(tmp_path / "adb")})
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (69, "adb-missing")
    assert "EDGEKIT_ADB" in error["message"]
    assert "Traceback" not in done.stderr


def test_no_phone(edgekit: Program, env: Environment) -> None:
    done = edgekit("devices", env=env)
    assert (done.returncode, done.stdout) == (69, "")
    assert "no phone is connected" in done.stderr
    assert "USB debugging" in done.stderr
    document = json.loads(edgekit("devices", "--json", env=env).stdout)
    assert document["error"]["code"] == "device-missing"


def test_phones_of_three_versions(
    edgekit: Program, env: Environment, make_phone: MakePhone
) -> None:
    made = [make_phone(api) for api in (24, 30, 35)]
    done = edgekit("devices", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    for phone in made:
        assert phone.serial in done.stdout
    for word in ("Example Finch 8 Pro", "EX-3", "arm64-v8a", "15 (API 35)", "charging", "GB"):
        assert word in done.stdout
    document = json.loads(edgekit("devices", "--json", env=env).stdout)
    found = {one["serial"]: one for one in document["devices"]}
    oldest, _, newest = (found[phone.serial] for phone in made)
    assert newest["usable"] is True
    assert newest["phone"]["sdk"] == 35
    assert newest["health"]["thermal_status"] == 0
    assert oldest["health"]["thermal_status"] is None
    assert all(phone.settings == phone.settings_at_start for phone in made)
    assert all(phone.files() == [] for phone in made)


def test_a_bad_state_comes_with_its_fix(
    edgekit: Program, env: Environment, make_phone: MakePhone
) -> None:
    make_phone(faults=Faults(unauthorized=True))
    done = edgekit("devices", env=env)
    assert done.returncode == 77
    assert "unauthorized" in done.stdout
    assert "tap Allow" in done.stdout
    document = json.loads(edgekit("devices", "--json", env=env).stdout)
    (one,) = document["devices"]
    assert (one["usable"], one["error"]["code"]) == (False, "device-unauthorized")
    make_phone(30)
    assert edgekit("devices", env=env).returncode == 0


def test_the_worst_state_is_the_status(
    edgekit: Program, env: Environment, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    gone = make_phone(30)
    gone.unplug()
    adb_server.wait(gone, "offline")
    assert edgekit("devices", env=env).returncode == 75
    make_phone(faults=Faults(unauthorized=True))
    assert edgekit("devices", env=env).returncode == 77


def test_a_hostile_phone_drives_no_terminal(
    edgekit: Program, env: Environment, make_phone: MakePhone
) -> None:
    phone = make_phone(35)
    evil = 'x"; $(reboot)\n\x1b[2J\x1b]0;owned\x07\u202e' + "A" * 1_000_000
    for key in ("ro.product.model", "ro.product.manufacturer", "ro.soc.model"):
        phone.faults.properties[key] = evil
    done = edgekit("devices", env=env)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert len(done.stdout) < 4000
    document = json.loads(edgekit("devices", "--json", env=env).stdout)
    assert len(document["devices"][0]["phone"]["model"]) < 130


def test_a_server_clash_is_named(edgekit: Program, env: Environment) -> None:
    done = edgekit("devices", env={**env, "ADB_SERVER_SOCKET": "tcp:127.0.0.1:1"})
    assert done.returncode == 75
    assert "ADB_SERVER_SOCKET" in done.stderr


def start(words: list[str], env: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgekit", "devices", "--watch", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**env),
    )


def test_watch_prints_a_line_for_each_change(
    env: Environment, adb_server: AdbServer, make_phone: MakePhone
) -> None:
    with start([], env) as child:
        assert child.stdout is not None
        phone = make_phone(35)
        line = child.stdout.readline()
        assert phone.serial in line
        adb_server.disconnect(phone)
        # What it was before it went may come in between.
        while not (line := child.stdout.readline()).rstrip().endswith("gone"):
            assert line
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "Traceback" not in stderr


def test_watch_json_is_one_document(env: Environment, make_phone: MakePhone) -> None:
    phone = make_phone(35)
    with start(["--json"], env) as child:
        assert child.stdout is not None
        head = child.stdout.readline() + child.stdout.readline()
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=20)
    document = json.loads(head + rest)
    assert child.returncode == 130
    assert document["changes"][0]["serial"] == phone.serial
    assert document["changes"][0]["change"] == "added"
    assert document["error"]["code"] == "stopped"


def test_serials_are_completed(env: Environment, make_phone: MakePhone) -> None:
    phone = make_phone(35)
    words = {"_EDGEKIT_COMPLETE": "bash_complete", "COMP_WORDS": "edgekit doctor --serial 1"}
    done = subprocess.run(
        [sys.executable, "-m", "edgekit"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(**env, **words, COMP_CWORD="3"),
    )
    assert done.stdout == f"plain,{phone.serial}\n"


def on_terminal(words: list[str], env: Environment, answer: str) -> tuple[int, str]:
    """Run edgekit on a terminal of its own and answer its question."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(clean_environment(**env))
        os.execv(sys.executable, [sys.executable, "-m", "edgekit", *words])
    said = b""
    end = time.monotonic() + 30
    asked = False
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            said += piece
        if not asked and b"[y/N]" in said:
            asked = True
            os.write(terminal, answer.encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode("utf-8", "replace")


@pytest.mark.parametrize(("answer", "woken"), [("y", True), ("n", False)])
def test_doctor_offers_the_fix_on_a_terminal(
    env: Environment, make_phone: MakePhone, answer: str, woken: bool
) -> None:
    phone = make_phone(35)
    phone.screen_on = False
    status, said = on_terminal(["doctor", "--device"], env, answer)
    assert status == 0
    assert "Wake the screen? [y/N]" in said
    assert phone.screen_on is woken


GUIDE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ edgekit (.*)$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_guide(
    edgekit: Program, env: Environment, make_phone: MakePhone, line: str
) -> None:
    phone = make_phone(35)
    words = [phone.serial if word == "HOST:PORT" else word for word in line.split()]
    done = edgekit(*words, env=env)
    assert done.returncode == 0, done.stderr
    assert phone.unknown == []


def test_every_state_is_in_the_guide() -> None:
    assert len(COMMANDS) >= 4
    for state in inventory.STATES:
        assert f"`{state}`" in GUIDE or state == "host"
