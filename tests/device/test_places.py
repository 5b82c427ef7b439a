"""This computer and an emulated processor as places: one job, the same answers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from edgekit.device import runner, stream
from edgekit.device.health import Health
from edgekit.device.job import Job
from edgekit.device.places import Kind, Place
from edgekit.device.places.emulated import open_emulated, write_system
from edgekit.device.places.host import open_host
from edgekit.device.protocol import Event
from edgekit.errors import (
    CannotWrite,
    InputMissing,
    RunnerKilled,
    SpecError,
    StorageFull,
    Unavailable,
)
from tests.device.conftest import Tiny, samples

Open = Callable[[], Place]
JOB = Job(mode="goldens", model="m", inputs="in", outputs="out", threads=2)
EMULATED = pytest.param(open_emulated, id="emulated", marks=pytest.mark.arm64)


@pytest.fixture
def files(tiny: dict[str, Tiny], tmp_path: Path) -> dict[str, Path]:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    return {"m": tiny["fp32"].path, "in": tmp_path / "in"}


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Place]:
    wanted = "host_runner" if request.param is open_host else "arm64_runner"
    request.getfixturevalue(wanted)
    with request.param() as place:
        yield place


both = pytest.mark.parametrize(
    "opened", [pytest.param(open_host, id="host"), EMULATED], indirect=True
)


@both
def test_one_job_gives_the_same_answers(
    opened: Place, files: dict[str, Path], tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    opened.put(files)
    seen: list[Event] = []
    done = opened.run(JOB, timeout=120, on_event=seen.append)
    assert done["samples"] == 5
    assert [event["event"] for event in seen].count("sample") == 5
    opened.fetch("out", tmp_path / "back")
    for [got], want in zip(stream.read(tmp_path / "back"), tiny["fp32"].expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


@both
def test_what_a_place_says_of_itself(opened: Place) -> None:
    assert opened.kind in get_args(Kind)
    facts, health = opened.environment(), opened.health()
    json.dumps([facts, health])
    machine = "x86_64" if opened.kind == "host" else "aarch64"
    assert facts["machine"] == machine
    assert list(facts["runners"]) == ["executorch"]
    assert facts["runners"]["executorch"].startswith(f"{machine}-executorch-")
    assert facts["memory_total"] > health["memory_free"] > 2**20
    assert ("emulator" in facts) == (opened.kind == "emulated")
    assert health.keys() == Health().as_dict().keys()
    assert len(health["cpus"]) == os.cpu_count()
    assert health["battery_percent"] is None


def test_the_emulated_processor_is_named(arm64_runner: Path) -> None:
    with open_emulated("cortex-a53") as place:
        assert place.name == "cortex-a53 under qemu"
        assert place.environment()["soc"] == "cortex-a53"
        assert place.environment()["emulator"].startswith("qemu-aarch64 version ")


def test_closing_leaves_nothing(host_runner: Path, files: dict[str, Path]) -> None:
    with open_host() as place:
        place.put(files)
        folder = place.folder
        assert sorted(path.name for path in folder.iterdir()) == ["in", "m"]
    assert not folder.parent.exists()
    place.close()
    assert files["m"].is_file()


def test_a_name_that_is_taken_is_replaced(
    host_runner: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with open_host() as place:
        place.put({"x": tmp_path / "a"})
        place.put({"x": tmp_path / "b"})
        place.fetch("x", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "b"
    assert (tmp_path / "a").read_text() == "a"


def test_where_links_are_not_possible_files_are_copied(
    host_runner: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no second file system")
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    with open_host() as place:
        assert str(place.folder).startswith("/dev/shm/")
        place.put(files)
        assert not os.path.samefile(place.folder / "m", files["m"])
        assert place.run(JOB, timeout=60)["samples"] == 5


@pytest.mark.parametrize("name", ["../m", "/m", "a/b", "", ".m", "-m", "m\n", "job.txt"])
def test_names_that_are_no_plain_file(
    host_runner: Path, files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    with open_host() as place:
        with pytest.raises(SpecError):
            place.put({name: files["m"]})
        assert list(place.folder.iterdir()) == []
        if name != "job.txt":
            with pytest.raises(SpecError, match="plain file name"):
                place.fetch(name, tmp_path / "back")


def test_files_that_are_not_there(host_runner: Path, tmp_path: Path) -> None:
    with open_host() as place:
        with pytest.raises(InputMissing, match="no file"):
            place.put({"m": tmp_path / "no"})
        with pytest.raises(InputMissing, match="there is no out on x86_64"):
            place.fetch("out", tmp_path / "back")
        with pytest.raises(InputMissing, match="no model file m"):
            place.run(JOB, timeout=60)


def test_outputs_that_have_no_room(
    host_runner: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    with open_host() as place:
        place.put(files)
        place.run(JOB, timeout=60)
        with pytest.raises(StorageFull):
            place.fetch("out", Path("/dev/full"))
        with pytest.raises(CannotWrite):
            place.fetch("out", tmp_path / "no" / "back")


def test_a_killed_runner_is_named(host_runner: Path, files: dict[str, Path]) -> None:
    def kill(event: Event) -> None:
        if event["event"] == "hello":
            os.kill(event["pid"], 9)

    with open_host() as place:
        place.put(files)
        with pytest.raises(RunnerKilled, match="ended by SIGKILL on x86_64"):
            place.run(JOB, timeout=60, on_event=kill)


def test_no_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        open_host()
    assert caught.value.hint == f"Run: edgekit runner build --machine {os.uname().machine}"
    with pytest.raises(SpecError, match="tflite"):
        open_host(["tflite"])


@pytest.mark.arm64
def test_no_arm64_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="aarch64 runner for onnx") as caught:
        open_emulated(runtimes=["onnx"])
    assert caught.value.hint == "Run: edgekit runner build"


@pytest.mark.arm64
def test_a_processor_that_qemu_does_not_know(arm64_runner: Path) -> None:
    with pytest.raises(SpecError, match="cortex-z1") as caught:
        open_emulated("cortex-z1")
    assert "cortex-a76" in caught.value.hint


def test_an_emulator_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qemu-aarch64-static").write_text("no program")
    (tmp_path / "qemu-aarch64-static").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="does not start") as caught:
        open_emulated()
    assert caught.value.hint == "Run: sudo apt-get install qemu-user"
    assert shutil.which("qemu-aarch64-static")


def test_the_files_of_an_arm_system(tmp_path: Path) -> None:
    folder = write_system(tmp_path / "system", "cortex-a53")
    about = (folder / "proc/cpuinfo").read_text()
    assert about.count("CPU part\t: 0xd03\n") == os.cpu_count()
    assert "asimddp" not in about
    assert "asimddp" in (write_system(folder, "cortex-a76") / "proc/cpuinfo").read_text()
    assert runner.command(Path("aarch64-onnx-x"))[-1].endswith("runner-onnx")
