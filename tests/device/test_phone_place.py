"""A phone as a place: the real adb, the real arm64 runner under emulation, and what goes wrong."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import stream
from edgekit.device.adb import Adb
from edgekit.device.job import Job
from edgekit.device.places.phone import PhonePlace, open_phone
from edgekit.device.protocol import Event
from edgekit.errors import (
    DeviceAmbiguous,
    DeviceMissing,
    DeviceOffline,
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    InputMissing,
    InputRefused,
    RunnerKilled,
    SpecError,
    Unsupported,
)
from tests.device.conftest import Tiny, samples
from tests.support.phone import AdbServer, ScriptedPhone
from tests.support.phone.faults import exactly, long_line, repeated
from tests.support.phone.fixtures import MakePhone
from tests.support.refusals import refused

pytestmark = pytest.mark.arm64

JOB = Job(mode="goldens", model="model", inputs="inputs", outputs="outputs", threads=1)
# Still at work whenever it is ended.
LONG = Job(mode="latency", model="model", inputs="inputs", threads=1, seconds=600)
HELLO = b'{"event":"hello","protocol":2,"pid":4711}\n'
Open = Callable[..., PhonePlace]


@pytest.fixture
def opened(adb: Adb, arm64_runner: Path) -> Iterator[Open]:
    made: list[PhonePlace] = []

    def open_one(phone: ScriptedPhone, **more: Any) -> PhonePlace:
        made.append(open_phone(phone.serial, adb=adb, **more))
        return made[-1]

    yield open_one
    for place in made:
        place.close()


def bring(place: PhonePlace, tiny: dict[str, Tiny], inputs: Path) -> None:
    place.put({"model": tiny["int8"].path, "inputs": inputs})


@pytest.mark.parametrize(("api", "shell_v2"), [(35, True), (24, False)])
def test_the_real_runner_gives_the_real_answers(
    opened: Open,
    make_phone: MakePhone,
    tiny: dict[str, Tiny],
    inputs: Path,
    tmp_path: Path,
    api: int,
    shell_v2: bool,
) -> None:
    phone = make_phone(api, shell_v2=shell_v2, terminal=not shell_v2)
    told: list[Event] = []
    with opened(phone) as place:
        bring(place, tiny, inputs)
        done = place.run(JOB, timeout=120, on_event=told.append)
        place.fetch("outputs", tmp_path / "outputs")
        assert place.kind == "phone"
        assert place.serial in place.name
        assert list(place.environment()["runners"]) == ["executorch"]
        assert place.environment()["sdk"] == api
        assert place.health()["battery_percent"] is not None
    assert done["event"] == "done"
    assert [event["event"] for event in told].count("sample") == len(samples())
    assert not any(event["event"] == "exit" for event in told)
    for (output,), expected in zip(
        stream.read(tmp_path / "outputs"), tiny["int8"].expected, strict=True
    ):
        np.testing.assert_allclose(output, expected, atol=2e-3)
    assert phone.files() == []
    assert phone.settings == phone.settings_at_start
    assert phone.unknown == []


def test_the_runner_travels_once_and_is_not_sent_again_after_keep(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path
) -> None:
    with opened(phone) as place:
        bring(place, tiny, inputs)
        place.run(JOB, timeout=120)
        sent = place.copied()["sent"]
        place.run(JOB, timeout=120)
        assert place.copied()["sent"] - sent < 200, "a job file"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGSEGV, "memory that is not its own"),
        (signal.SIGILL, "an instruction that this processor does not have"),
        (signal.SIGABRT, "SIGABRT"),
    ],
)
@pytest.mark.parametrize("shell_v2", [True, False])
def test_a_death_has_a_name(
    opened: Open,
    make_phone: MakePhone,
    tiny: dict[str, Tiny],
    inputs: Path,
    number: int,
    said: str,
    shell_v2: bool,
) -> None:
    phone = make_phone(shell_v2=shell_v2, terminal=not shell_v2)
    place = opened(phone)
    bring(place, tiny, inputs)
    phone.faults.kill = number
    phone.faults.kill_after = 4
    phone.faults.out_of_memory = number == signal.SIGKILL
    error = killed(lambda: place.run(LONG, timeout=120))
    assert said in error.message
    assert error.details["signal"] == signal.Signals(number).name
    if number == signal.SIGKILL:
        assert "low watermark is breached" in error.message
        assert "lowmemorykiller" in error.details["log"][-1]
    # The place is still good: the next job runs.
    assert place.run(JOB, timeout=120)["event"] == "done"


def killed(job: Callable[[], Any]) -> EdgekitError:
    with pytest.raises(RunnerKilled) as caught:
        job()
    assert caught.value.exit_status == 70
    return caught.value


def test_somebody_elses_death_is_not_told_as_ours(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    phone.log("I lowmemorykiller: Kill 'com.example.game' (31337), uid 10111, to free 9 kB")
    phone.faults.kill = signal.SIGKILL
    assert "game" not in killed(lambda: place.run(LONG, timeout=120)).message


def test_a_runner_that_hangs_is_ended(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path
) -> None:
    place = opened(phone, silence=1.0)
    bring(place, tiny, inputs)
    phone.faults.hang = True
    began = time.monotonic()
    refused(DeviceTimeout, 75, "said nothing for 1 s", lambda: place.run(JOB, timeout=60))
    assert time.monotonic() - began < 5
    refused(DeviceTimeout, 75, "within 1 s", lambda: place.run(JOB, timeout=0.6))


def test_a_program_that_outlives_its_time_is_killed(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    refused(DeviceTimeout, 75, "after", lambda: place.run(LONG, timeout=6))
    deadline = time.monotonic() + 5
    while phone.processes and time.monotonic() < deadline:
        time.sleep(0.05)
    assert phone.processes == {}


def test_the_cable_comes_out(
    opened: Open,
    adb_server: AdbServer,
    phone: ScriptedPhone,
    tiny: dict[str, Tiny],
    inputs: Path,
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    phone.faults.drop_run_after = 4
    began = time.monotonic()
    refused(DeviceOffline, 75, "went away", lambda: place.run(LONG, timeout=120))
    place.close()
    assert time.monotonic() - began < 10
    phone.faults.drop_run_after = None
    adb_server.replug(phone)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (exactly(b"Segmentation fault\n"), "not an event"),
        (exactly(HELLO, b'["done"]\n'), "not an event"),
        (exactly(b'{"event": "done"' * 10), "ended before its last event"),
        (exactly(HELLO), "ended before its last event"),
        (exactly(HELLO, b'{"event":"sam'), "before its last event, after 0 samples"),
        (long_line(2_000_000), "over 64 KiB"),
        (long_line(100_000_000), "over 64 KiB"),
    ],
    ids=["words", "list", "cut", "no-end", "half", "long", "very-long"],
)
def test_what_no_runner_says(
    opened: Open,
    phone: ScriptedPhone,
    tiny: dict[str, Tiny],
    inputs: Path,
    lines: Callable[[], Any],
    said: str,
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    place.run(JOB, timeout=120)
    phone.faults.lines = lines
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(DeviceReplyRefused, 65, said, lambda: place.run(JOB, timeout=60))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "KiB"


@pytest.mark.parametrize("shell_v2", [True, False])
def test_a_status_without_a_reason(
    opened: Open,
    make_phone: MakePhone,
    tiny: dict[str, Tiny],
    inputs: Path,
    shell_v2: bool,
) -> None:
    phone = make_phone(shell_v2=shell_v2, terminal=not shell_v2)
    place = opened(phone)
    bring(place, tiny, inputs)
    phone.faults.lines, phone.faults.status = exactly(HELLO), 3
    refused(DeviceReplyRefused, 65, "with status 3", lambda: place.run(JOB, timeout=60))


def test_a_flood_of_events_takes_no_memory(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    place.run(JOB, timeout=120)
    flood = repeated(b'{"event":"sample","index":1,"round":1,"ms":1.5}\n', 300_000)

    def lines() -> Iterator[bytes]:
        yield HELLO
        yield from flood()
        yield b'{"event":"done"}\n'

    phone.faults.lines = lines
    count = 0

    def tell(event: Event) -> None:
        nonlocal count
        count += event["event"] == "sample"

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert place.run(JOB, timeout=60, on_event=tell)["event"] == "done"
    assert count == 300_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000, "KiB"


def test_outputs_that_are_none(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path, tmp_path: Path
) -> None:
    place = opened(phone)
    bring(place, tiny, inputs)
    place.run(JOB, timeout=120)  # leaves outputs, which are not those of the next job
    phone.faults.lines = exactly(HELLO, b'{"event":"done"}\n')
    place.run(JOB, timeout=60)
    refused(InputMissing, 66, "there is no", lambda: place.fetch("outputs", tmp_path / "x"))
    for name in ("../outputs", "/etc/passwd", "a b", "$(x)"):
        refused(SpecError, 64, "plain", lambda name=name: place.fetch(name, tmp_path / "x"))
        refused(SpecError, 64, "plain", lambda name=name: place.put({name: inputs}))
    assert not (tmp_path / "x").exists()
    for name in ("job.txt", "session.txt", "executorch", "onnx"):
        refused(SpecError, 64, "the phone's own", lambda name=name: place.put({name: inputs}))


def test_the_runners_own_refusals_come_through(
    opened: Open, phone: ScriptedPhone, inputs: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"no program at all" * 100)
    with opened(phone) as place:
        place.put({"model": model, "inputs": inputs})
        with pytest.raises(InputRefused, match="InvalidProgram"):
            place.run(JOB, timeout=60)


@pytest.mark.parametrize("pid", [b"-1", b"0", b"1.5", b'"1; reboot"', b"99999999999", b"null"])
def test_a_pid_that_is_none_is_not_killed(
    opened: Open, phone: ScriptedPhone, tiny: dict[str, Tiny], inputs: Path, pid: bytes
) -> None:
    place = opened(phone, silence=1.0)
    bring(place, tiny, inputs)
    phone.faults.lines = exactly(b'{"event":"hello","pid":' + pid + b"}\n", b"rubbish\n")
    with pytest.raises(DeviceReplyRefused):
        place.run(JOB, timeout=60)
    assert not any(words[0] == "kill" for words in phone.executed)


def test_which_phone(adb: Adb, make_phone: MakePhone, arm64_runner: Path) -> None:
    first, second = make_phone(), make_phone(30)
    refused(DeviceAmbiguous, 64, "2 phones", lambda: open_phone(adb=adb))
    refused(DeviceMissing, 69, "no phone", lambda: open_phone("nothing", adb=adb))
    with open_phone(second.serial, adb=adb) as place:
        assert place.serial == second.serial
    assert first.executed == []


def test_a_phone_of_another_kind_is_not_touched(adb: Adb, make_phone: MakePhone) -> None:
    phone = make_phone()
    phone.faults.properties |= {"ro.product.cpu.abilist": "x86_64,x86"}
    refused(Unsupported, 78, "x86_64", lambda: open_phone(phone.serial, adb=adb))
    assert phone.files() == []
    assert phone.settings == phone.settings_at_start
