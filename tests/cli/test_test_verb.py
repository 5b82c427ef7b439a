"""``edgekit test`` as a user types it: real adb, scripted phones, the real arm64 runner."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edgekit import Bundle
from edgekit.bundle import goldens, read, seal
from tests.conftest import Completed, Program, clean_environment
from tests.device.conftest import arm64_runner, host_runner
from tests.support.phone import AdbServer, Faults, ScriptedPhone
from tests.support.phone.fixtures import MakePhone

__all__ = ["arm64_runner", "host_runner"]
pytestmark = pytest.mark.arm64

QUICK = ("--runtime", "executorch")
Test = Callable[..., Completed]


@pytest.fixture
def run_test(edgekit: Program, adb_server: AdbServer, arm64_runner: Path) -> Test:
    """Run ``edgekit test`` with the tests' adb server."""

    def run(*words: str | Path, **more: str) -> Completed:
        return edgekit("test", *words, env={**adb_server.environment, **more})

    return run


@pytest.fixture
def wrong(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A whole bundle whose goldens no artifact gives."""
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "wrong"))
    path = copy / "goldens.safetensors"
    draw = np.random.default_rng(0)
    changed = [
        replace(g, reference=draw.standard_normal(g.reference.shape, np.float32))
        for g in goldens.read(path)
    ]
    goldens.write(path, changed)
    seal.seal(copy, read.load_manifest(copy))
    return copy


def test_a_sound_bundle_on_a_phone(
    run_test: Test, phone: ScriptedPhone, tiny_bundle: Path, tmp_path: Path
) -> None:
    done = run_test(tiny_bundle, *QUICK, "--junit", tmp_path / "report.xml")
    assert done.returncode == 0, done.stderr
    assert phone.serial in done.stdout
    assert "sha256 checked on the phone" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("model.pte"))
    assert row.rstrip().endswith("ok")
    assert len(done.stdout.splitlines()) < 24
    assert max(map(len, done.stdout.splitlines())) <= 110
    case = ElementTree.parse(tmp_path / "report.xml").getroot().find("testsuite/testcase")
    assert case is not None
    assert case.get("name") == f"model.pte goldens on {done.stdout.splitlines()[0]}"
    assert phone.clean()


def test_one_json_document(run_test: Test, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    done = run_test(tiny_bundle, *QUICK, "--json", "-q")
    document = json.loads(done.stdout)
    assert document["passed"] is True
    (place,) = document["places"]
    assert place["serial"] == phone.serial
    assert place["environment"]["abis"]
    assert place["copied"]["sent"] > 10_000_000
    (check,) = place["checks"]
    assert check["status"] == "passed"
    assert check["hop"]["worst_cosine"] > 0.9999
    assert done.stderr == ""


@pytest.mark.parametrize("place", ["host", "arm64"])
def test_the_same_job_elsewhere(
    run_test: Test, host_runner: Path, tiny_bundle: Path, place: str
) -> None:
    done = run_test(tiny_bundle, *QUICK, "--place", place, "--json")
    (found,) = json.loads(done.stdout)["places"]
    assert found["kind"] == {"host": "host", "arm64": "emulated"}[place]
    assert found["checks"][0]["status"] == "passed"
    assert found["serial"] is None


def test_a_difference_is_named(run_test: Test, phone: ScriptedPhone, wrong: Path) -> None:
    done = run_test(wrong, *QUICK, "--junit", "report.xml")
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    for named in ("model.pte on", phone.serial, "worst golden: '"):
        assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert phone.clean()
    document = json.loads(run_test(wrong, *QUICK, "--json").stdout)
    assert document["passed"] is False
    assert document["error"]["code"] == "parity-failed"
    assert document["places"][0]["checks"][0]["hop"]["passed"] is False


def test_a_changed_bundle_reaches_no_phone(
    run_test: Test, phone: ScriptedPhone, tiny_bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "changed"))
    raw = bytearray((copy / "model.pte").read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / "model.pte").write_bytes(raw)
    done = run_test(copy, *QUICK, "--json")
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["code"] == "bundle-corrupt"
    assert phone.executed == []


def test_without_a_runner(
    run_test: Test, phone: ScriptedPhone, tiny_bundle: Path, tmp_path: Path
) -> None:
    done = run_test(tiny_bundle, EDGEKIT_HOME=str(tmp_path / "empty"))
    assert done.returncode == 69
    assert "edgekit runner build" in done.stderr
    assert phone.executed == []


def test_only_some_runners(
    run_test: Test, phone: ScriptedPhone, arm64_runner: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(arm64_runner, home / "runner" / arm64_runner.name)
    done = run_test(tiny_bundle, EDGEKIT_HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert "not run: model.onnx: the aarch64 runner for onnx is not built" in done.stdout
    asked = run_test(tiny_bundle, "--runtime", "executorch,onnx", EDGEKIT_HOME=str(home))
    assert asked.returncode == 69


def test_several_phones_and_one_that_fails(
    run_test: Test, make_phone: MakePhone, tiny_bundle: Path, tmp_path: Path
) -> None:
    good, full, gone = make_phone(35), make_phone(30), make_phone(24)
    full.storage_free = 1_000_000
    gone.faults.drop_push_after = 500_000
    done = run_test(tiny_bundle, *QUICK, "--all", "--json", "--junit", tmp_path / "report.xml")
    assert done.returncode == 75, done.stderr
    document = json.loads(done.stdout)
    found = {place["serial"]: place for place in document["places"]}
    assert found[good.serial]["passed"]
    assert found[full.serial]["error"]["code"] == "device-storage-full"
    assert found[gone.serial]["error"]["code"] == "transfer-broken"
    for phone in (full, gone):
        assert phone.serial in document["error"]["message"]
    assert good.clean()
    assert full.clean()
    top = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (len(top), top.get("errors")) == (3, "2")


def test_the_table_of_several_phones(
    run_test: Test, make_phone: MakePhone, tiny_bundle: Path
) -> None:
    phones = [make_phone(35), make_phone(24, shell_v2=False)]
    done = run_test(tiny_bundle, *QUICK, "--all")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "model.pte" in line]
    assert all(any(phone.serial in row for row in rows) for phone in phones)
    assert all(phone.clean() for phone in phones)


def test_the_cable_comes_out_and_the_next_run_goes_on(
    run_test: Test, adb_server: AdbServer, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    phone.faults.drop_push_after = 12_000_000
    done = run_test(tiny_bundle, *QUICK, "--json")
    assert done.returncode == 75
    assert json.loads(done.stdout)["error"]["code"] == "transfer-broken"
    phone.faults.drop_push_after = None
    adb_server.replug(phone)
    done = run_test(tiny_bundle, *QUICK)
    assert done.returncode == 0, done.stderr
    assert "there already" in done.stdout
    assert phone.clean()


@pytest.mark.parametrize("words", [(), ("--all",)], ids=["one", "all"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_gives_the_phone_back(
    adb_server: AdbServer,
    phone: ScriptedPhone,
    tiny_bundle: Path,
    arm64_runner: Path,
    words: tuple[str, ...],
    number: int,
) -> None:
    phone.faults.hang = True
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", "test", str(tiny_bundle), *QUICK, *words],
        env=clean_environment(**adb_server.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not any("--job" in run for run in phone.executed) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not phone.clean()
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert f"stopped by {signal.Signals(number).name}" in said
    assert "Traceback" not in said
    assert phone.clean()


def test_a_labelled_file(
    run_test: Test, host_runner: Path, tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    from edgekit.device import runner

    runner.build(machine=host_runner.name.partition("-")[0], runtime="onnx")
    texts = ["good news", "bad news", "the sun", "a dog barks", "rain and wind", "we win"]
    with Bundle.open(tiny_bundles["text-classification"]) as bundle:
        found = [answer["labels"][0]["label"] for answer in bundle.run(texts, runtime="onnx")]
    other = {"negative": "positive", "neutral": "negative", "positive": "neutral"}
    labels = [other[found[0]], *found[1:]]
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
    (tmp_path / "data.csv").write_text("text,label\n" + rows)
    words = (tiny_bundles["text-classification"], "--place", "host", "--data", "data.csv")
    check = json.loads(run_test(*words, "--json").stdout)["places"][0]["checks"][1]
    assert check["samples"] == "labelled"
    assert check["score"]["samples"] == 6
    assert check["score"]["accuracy"]["value"] == pytest.approx(5 / 6)
    assert check["score"]["accuracy"]["low"] < 5 / 6 < check["score"]["accuracy"]["high"]
    shown = run_test(*words).stdout
    assert "83.3% (43.6% to 97.0%)" in shown


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--all", "--serial", "x"), 64, "contradict"),
        (("--place", "moon"), 64, "unknown place"),
        (("--place", "host", "--keep"), 64, "about phones"),
        (("--runtime", "tflite"), 64, "no tflite artifact"),
        (("--data", "nowhere.csv"), 64, "one label a text"),
        (("--junit", "nowhere/report.xml"), 73, "no such folder"),
        (("--timeout", "0"), 2, "--timeout"),
        (("--serial", "nothing"), 69, "nothing"),
    ],
)
def test_wrong_requests(
    run_test: Test,
    phone: ScriptedPhone,
    tiny_bundle: Path,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    done = run_test(tiny_bundle, *words, *(QUICK if "--runtime" not in words else ()))
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert phone.executed == []


def test_waiting_for_the_tap(run_test: Test, make_phone: MakePhone, tiny_bundle: Path) -> None:
    phone = make_phone(faults=Faults(unauthorized=True))
    done = run_test(tiny_bundle, *QUICK)
    assert done.returncode == 77, done.stderr
    assert "Allow" in done.stderr
    tap = threading.Timer(3, phone.allow)
    tap.start()
    done = run_test(tiny_bundle, *QUICK, "--wait", "60")
    tap.join()
    assert done.returncode == 0, done.stderr
    assert phone.clean()


def test_a_runner_that_hangs(run_test: Test, phone: ScriptedPhone, tiny_bundle: Path) -> None:
    phone.faults.hang = True
    began = time.monotonic()
    done = run_test(tiny_bundle, *QUICK, "--timeout", "2")
    assert done.returncode == 75
    assert "within 2 s" in done.stderr
    assert time.monotonic() - began < 20
    assert phone.clean()


def test_keep_makes_the_next_test_quicker(
    run_test: Test, phone: ScriptedPhone, tiny_bundle: Path
) -> None:
    first = json.loads(run_test(tiny_bundle, *QUICK, "--keep", "--json").stdout)["places"][0]
    assert first["copied"]["resumed"] == 0
    assert phone.settings == phone.settings_at_start
    second = json.loads(run_test(tiny_bundle, *QUICK, "--json").stdout)["places"][0]
    assert second["copied"]["sent"] < 100
    assert phone.clean()
