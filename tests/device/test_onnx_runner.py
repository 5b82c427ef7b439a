"""The runner for ONNX Runtime: the same protocol over another library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import runner, sdk, stream
from edgekit.device.places.emulated import find_qemu
from edgekit.errors import InputRefused
from edgekit.runtime import arm64
from edgekit.targets import TARGETS
from tests.device.conftest import SIGNATURE, Tiny, samples
from tests.device.test_arm64 import compare
from tests.device.test_native import FILES, Said, error_of, names, run, start

CPUS = sorted(TARGETS["android-arm64"].emulated_cpus.values())


def onnx(folder: Path, model: Path, cwd: Path, **fields: Any) -> Said:
    return run(folder, model, cwd, **{"runtime": "onnx", **fields})


def test_version(host_onnx_runner: Path, tmp_path: Path) -> None:
    status, [event] = start(host_onnx_runner, "--version", cwd=tmp_path)
    assert (status, event["event"], event["protocol"]) == (0, "hello", 3)
    assert (event["runtime"], event["version"]) == ("onnx", sdk.pinned_version("onnxruntime"))
    assert event["providers"] == "CPUExecutionProvider"


def test_goldens(host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    status, events = onnx(host_onnx_runner, tiny_onnx.path, tmp_path, threads=2)
    assert status == 0
    loaded = next(event for event in events if event["event"] == "loaded")
    assert (loaded["threads"], loaded["prepare_ms"]) == (2, None)
    for [got], want in zip(stream.read(tmp_path / "out"), tiny_onnx.expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_are_counted_not_believed(
    host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path, threads: int
) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    fields: dict[str, Any] = {"mode": "load", "threads": threads}
    _, events = onnx(host_onnx_runner, tiny_onnx.path, tmp_path, runs=2, **fields)
    assert [event["threads"] for event in events if event["event"] == "loaded"] == [threads] * 4


def test_latency_and_its_answers(host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    fields: dict[str, Any] = {"mode": "latency", "outputs": "out"}
    _, events = onnx(host_onnx_runner, tiny_onnx.path, tmp_path, runs=3, warm_ups=1, **fields)
    assert (events[-1]["samples"], events[-1]["rounds"]) == (15, 3)
    for [got], want in zip(stream.read(tmp_path / "out"), tiny_onnx.expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([], "0 tensors given, the model takes 1"),
        ([np.zeros((1, 4), np.int64)] * 2, "2 tensors given"),
        ([np.zeros((1, 4), np.float32)], "float32, the model takes int64"),
        ([np.zeros(4, np.int64)], "shape"),
        ([np.zeros((2, 4), np.int64)], "shape"),
    ],
)
def test_samples_that_do_not_fit(
    host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path, tensors: list[Any], reason: str
) -> None:
    stream.write(tmp_path / "in", [tensors])
    status, code, message = error_of(onnx(host_onnx_runner, tiny_onnx.path, tmp_path))
    assert (status, code) == (65, "inputs")
    assert reason in message
    assert names(tmp_path) == FILES


def test_a_failure_inside_the_runtime_is_named(
    host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [[np.array([[49]])], [np.array([[50]])]])
    status, code, message = error_of(onnx(host_onnx_runner, tiny_onnx.path, tmp_path))
    assert (status, code) == (70, "onnx")
    assert "running a sample" in message
    assert "Gather" in message
    assert names(tmp_path) == FILES


def test_broken_models(host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    whole = tiny_onnx.path.read_bytes()
    for content in (b"not a model", whole[:100], whole[:-1000], b"\0" * len(whole)):
        (tmp_path / "m.pte").write_bytes(content)
        status, code, _ = error_of(onnx(host_onnx_runner, tmp_path / "m.pte", tmp_path))
        assert (status, code) == (70, "onnx")
        assert not (tmp_path / "out").exists()
    broken = tmp_path / "m.pte"
    with pytest.raises(InputRefused, match=r"loading the model.*\(on x86_64\)"):
        arm64.replay(broken, SIGNATURE, samples(), machine="x86_64", runtime="onnx")


def test_a_job_for_the_other_runner(
    host_onnx_runner: Path, host_runner: Path, tiny_onnx: Tiny, tmp_path: Path
) -> None:
    result = run(host_onnx_runner, tiny_onnx.path, tmp_path)
    assert error_of(result)[1:] == (
        "job",
        "job file: it is for executorch, this runner has onnx",
    )
    result = run(host_runner, tiny_onnx.path, tmp_path, runtime="onnx")
    assert error_of(result)[:2] == (64, "job")


def test_another_version_of_the_library_is_refused(host_onnx_runner: Path, tmp_path: Path) -> None:
    folder = tmp_path / host_onnx_runner.name
    shutil.copytree(host_onnx_runner, folder)
    version = sdk.pinned_version("onnxruntime").encode()
    # As if the program had been built for another one.
    program = (folder / "runner-onnx").read_bytes()
    assert program.count(b"\0" + version + b"\0") == 1
    changed = program.replace(b"\0" + version + b"\0", b"\0" + b"9" + version[1:] + b"\0")
    (folder / "runner-onnx").write_bytes(changed)
    status, code, message = error_of(start(folder, "--version", cwd=tmp_path))
    assert (status, code) == (70, "internal")
    assert message.endswith(f"found {version.decode()}")


def test_it_reports_nothing_to_anybody(
    host_onnx_runner: Path, tiny_onnx: Tiny, tmp_path: Path
) -> None:
    """The library sends usage data unless told not to; its id and cache would be in HOME."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    stream.write(work / "in", [list(samples()[0].values())])
    onnx(host_onnx_runner, tiny_onnx.path, work)
    words = [*runner.command(host_onnx_runner), "--job", "job.txt"]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(words, cwd=work, env=environment, capture_output=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "done"
    assert list(home.iterdir()) == []


@pytest.mark.arm64
@pytest.mark.parametrize("cpu", CPUS)
def test_arm64_agrees(arm64_onnx_runner: Path, tiny_onnx: Tiny, cpu: str) -> None:
    outputs = arm64.replay(tiny_onnx.path, SIGNATURE, samples(), cpu=cpu, runtime="onnx")
    compare(tiny_onnx, outputs, 1e-5)


@pytest.mark.arm64
def test_why_the_emulator_shows_files_of_an_arm_system(
    arm64_onnx_runner: Path, tmp_path: Path
) -> None:
    """Without them the library crashes as it starts: when that is mended, they can go."""
    words = [find_qemu(), "-cpu", "cortex-a76", *runner.command(arm64_onnx_runner), "--version"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == -11
