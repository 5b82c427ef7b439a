"""An app as a place: am instrument and run-as through the real adb; the app's runner is real."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import stream
from edgekit.device.adb import Adb
from edgekit.device.app import check_package
from edgekit.device.job import Job
from edgekit.device.places.app import AppPlace, open_app
from edgekit.device.protocol import Event
from edgekit.errors import (
    DevicePermission,
    DeviceReplyRefused,
    DeviceStorageFull,
    DeviceTimeout,
    EdgekitError,
    InputMissing,
    InputRefused,
    RunnerKilled,
    SpecError,
    TransferBroken,
    Unavailable,
    Unsupported,
)
from tests.device.conftest import Tiny, samples
from tests.support.phone import ScriptedPhone, apps
from tests.support.phone.faults import exactly, long_line
from tests.support.phone.fixtures import MakePhone
from tests.support.refusals import refused

pytestmark = pytest.mark.arm64

PACKAGE = "edgekit.demo"
JOB = Job(
    mode="goldens", runtime="onnx", model="model", inputs="inputs", outputs="outputs", threads=1
)
# Still at work whenever it is ended.
LONG = Job(mode="latency", runtime="onnx", model="model", inputs="inputs", threads=1, seconds=600)
HELLO = b'{"event":"hello","protocol":3,"pid":4711}\n'
Open = Callable[..., AppPlace]


@pytest.fixture
def opened(adb: Adb, arm64_onnx_runner: Path) -> Iterator[Open]:
    made: list[AppPlace] = []

    def open_one(phone: ScriptedPhone, **more: Any) -> AppPlace:
        made.append(open_app(PACKAGE, phone.serial, adb=adb, **more))
        return made[-1]

    yield open_one
    for place in made:
        place.close()


@pytest.fixture
def app(phone: ScriptedPhone, arm64_onnx_runner: Path) -> apps.App:
    return apps.install(phone, PACKAGE)


def bring(place: AppPlace, tiny_onnx: Tiny, inputs: Path) -> None:
    place.put({"model": tiny_onnx.path, "inputs": inputs})


def assert_as_it_was(phone: ScriptedPhone, app: apps.App) -> None:
    assert phone.files() == []
    assert list((app.root / "files").iterdir()) == []
    assert phone.settings == phone.settings_at_start
    assert phone.processes == {}
    assert phone.unknown == []
    assert phone.sandbox.escapes == []


@pytest.mark.parametrize(("api", "shell_v2"), [(35, True), (24, False)])
def test_the_runner_in_the_app_gives_the_real_answers(
    opened: Open,
    make_phone: MakePhone,
    tiny_onnx: Tiny,
    inputs: Path,
    tmp_path: Path,
    api: int,
    shell_v2: bool,
) -> None:
    phone = make_phone(api, shell_v2=shell_v2, terminal=not shell_v2)
    app = apps.install(phone, PACKAGE)
    left = app.root / apps.JOBS / "left-by-a-killed-session"
    left.parent.mkdir()
    left.touch()
    told: list[Event] = []
    with opened(phone) as place:
        assert not left.exists()
        bring(place, tiny_onnx, inputs)
        done = place.run(JOB, timeout=120, on_event=told.append)
        place.fetch("outputs", tmp_path / "outputs")
        assert (place.kind, place.serial) == ("phone", phone.serial)
        assert place.name.endswith(", in edgekit.demo")
        assert place.environment()["app"] == PACKAGE
        assert place.environment()["sdk"] == api
        assert re.fullmatch(r"1\.\d+\.\d+", place.environment()["runners"]["onnx"])
        assert place.copied()["checksum"] == ("sha256" if api == 35 else "sha1")
    assert done["event"] == "done"
    kinds = [event["event"] for event in told]
    assert kinds.count("sample") == len(samples())
    assert "exit" not in kinds
    answers = stream.read(tmp_path / "outputs")
    for (output,), expected in zip(answers, tiny_onnx.expected, strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-4)
    assert_as_it_was(phone, app)


def test_another_jobs_outputs_are_not_taken(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path, tmp_path: Path
) -> None:
    with opened(phone) as place:
        bring(place, tiny_onnx, inputs)
        place.run(JOB, timeout=60)
        phone.faults.lines = exactly(HELLO, b'{"event":"done","samples":5,"rounds":1,"ms":1}\n')
        place.run(JOB, timeout=60)
        with pytest.raises(InputMissing, match="there is no files/edgekit-job/outputs"):
            place.fetch("outputs", tmp_path / "outputs")
    assert not (tmp_path / "outputs").exists()


def test_what_an_app_cannot_do_is_said(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny
) -> None:
    with opened(phone) as place:
        job = Job(mode="goldens", model="m", inputs="i", outputs="o")
        refused(Unavailable, 69, "no executorch", lambda: place.run(job, timeout=5))
        job = Job(mode="goldens", runtime="onnx", model="m", inputs="i", outputs="o", cores=(0,))
        refused(Unsupported, 78, "processors", lambda: place.run(job, timeout=5))
        for name in (apps.JOBS, "job", "job.events"):
            refused(SpecError, 64, "name", lambda n=name: place.put({n: tiny_onnx.path}))
        phone.storage_free = 3 << 20
        failure = refused(
            DeviceStorageFull, 74, "room", lambda: place.require_room({"model": 2 << 20}, ["onnx"])
        )
        assert failure.details["need_bytes"] > 4 << 20, "it lies there twice"
    assert_as_it_was(phone, app)


def test_apps_that_are_no_help(opened: Open, phone: ScriptedPhone, arm64_onnx_runner: Path) -> None:
    failure = refused(Unavailable, 69, "not installed", lambda: opened(phone))
    assert f"adb -s {phone.serial} install" in failure.hint
    app = apps.install(phone, PACKAGE, instrumentation="")
    refused(Unavailable, 69, "no runner of edgekit", lambda: opened(phone))
    app.instrumentation = "edgekit.demo.OtherInstrumentation"
    refused(Unavailable, 69, "no runner of edgekit", lambda: opened(phone))
    app.instrumentation = "edgekit.demo.RunnerInstrumentation"
    app.debuggable = False
    failure = refused(DevicePermission, 77, "not debuggable", lambda: opened(phone))
    assert "debug build" in failure.hint
    assert_as_it_was(phone, app)


@pytest.mark.parametrize(
    "name", ["", "demo", "a;reboot", "a.$(reboot)", "a.b\nc", "../a.b", "a..b", "a.b/c", "ä.b"]
)
def test_names_that_no_package_has(name: str) -> None:
    refused(SpecError, 64, "not the name of an Android package", lambda: check_package(name))


@pytest.mark.parametrize(
    ("api", "number", "out_of_memory", "says"),
    [
        (35, 9, True, "the phone killed it for low memory"),
        (35, 11, False, "its native code crashed"),
        (24, 9, False, "Process crashed"),
    ],
)
def test_an_app_that_dies(
    opened: Open,
    make_phone: MakePhone,
    tiny_onnx: Tiny,
    inputs: Path,
    api: int,
    number: int,
    out_of_memory: bool,
    says: str,
) -> None:
    phone = make_phone(api)
    app = apps.install(phone, PACKAGE)
    with opened(phone) as place:
        bring(place, tiny_onnx, inputs)
        phone.faults.kill, phone.faults.kill_after = number, 2
        phone.faults.out_of_memory = out_of_memory
        failure = refused(RunnerKilled, 70, says, lambda: place.run(LONG, timeout=60))
        assert ("lowmemorykiller" in failure.message) == out_of_memory
    assert_as_it_was(phone, app)


def test_an_app_that_hangs(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path
) -> None:
    with opened(phone, silence=1) as place:
        bring(place, tiny_onnx, inputs)
        phone.faults.hang = True
        refused(DeviceTimeout, 75, "said nothing for 1 s", lambda: place.run(JOB, timeout=60))
        assert app.stopped.is_set()
    assert_as_it_was(phone, app)


def test_a_job_that_takes_too_long(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path
) -> None:
    with opened(phone) as place:
        bring(place, tiny_onnx, inputs)
        refused(DeviceTimeout, 75, "longer than 3 s", lambda: place.run(LONG, timeout=3))
    assert_as_it_was(phone, app)


def test_the_cable_comes_out(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path
) -> None:
    with opened(phone) as place:
        bring(place, tiny_onnx, inputs)
        phone.faults.drop_run_after = 2
        with pytest.raises(EdgekitError) as caught:
            place.run(LONG, timeout=60)
        assert caught.value.exit_status in {69, 75}
        assert caught.value.code in {"device-offline", "device-missing", "transfer-broken"}


def test_copies_with_other_bytes_are_not_used(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path
) -> None:
    name = f"{apps.JOBS}/model"
    phone.faults.answers["sha256sum", name] = f"{'0' * 64}  {name}\n".encode()
    with opened(phone) as place:
        failure = refused(
            TransferBroken, 75, "other bytes", lambda: place.put({"model": tiny_onnx.path})
        )
        assert failure.details["files"] == "model"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (exactly(b"nonsense\n"), "not an event"),
        (long_line(1 << 20), "a line over 64 KiB"),
        (exactly(HELLO), "before its last event"),
    ],
    ids=["no-events", "long-line", "no-end"],
)
def test_events_that_no_runner_writes(
    opened: Open,
    phone: ScriptedPhone,
    app: apps.App,
    tiny_onnx: Tiny,
    inputs: Path,
    lines: Any,
    says: str,
) -> None:
    with opened(phone) as place:
        bring(place, tiny_onnx, inputs)
        phone.faults.lines = lines
        with pytest.raises(DeviceReplyRefused, match=says):
            place.run(JOB, timeout=60)
    assert_as_it_was(phone, app)


def test_errors_of_its_runner_are_typed(
    opened: Open, phone: ScriptedPhone, app: apps.App, tiny_onnx: Tiny, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "no-model").write_text("no model")
    with opened(phone) as place:
        place.put({"model": tmp_path / "no-model", "inputs": inputs})
        with pytest.raises(InputRefused, match=r"in edgekit\.demo"):
            place.run(JOB, timeout=60)
        # What Kotlin says of such a file.
        error = b'{"event":"error","code":"model","message":"no model","status":0}\n'
        phone.faults.lines = exactly(HELLO, error)
        phone.faults.status = 65
        with pytest.raises(InputRefused, match="no model"):
            place.run(JOB, timeout=60)
    assert_as_it_was(phone, app)
