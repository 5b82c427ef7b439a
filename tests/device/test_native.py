"""The runner itself, built for this machine: its modes, its events, and hostile input."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import runner, stream, toolchain
from edgekit.device.job import Job, text
from tests.device.conftest import Tiny, samples
from tests.device.test_stream import HEAD, MALFORMED

Said = tuple[int, list[dict[str, Any]]]
FILES = ["in", "job.txt", "m.pte"]


def start(folder: Path, *words: str, cwd: Path) -> Said:
    done = subprocess.run(
        [*runner.command(folder), *words], cwd=cwd, capture_output=True, timeout=120, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def run(folder: Path, model: Path, cwd: Path, **fields: Any) -> Said:
    """Run a job, ``goldens`` unless ``fields`` say otherwise, on the tensor stream ``in``."""
    if model.exists() and not (cwd / "m.pte").exists():
        (cwd / "m.pte").symlink_to(model)
    given: dict[str, Any] = {"mode": "goldens", "model": "m.pte", "inputs": "in", **fields}
    if given["mode"] == "goldens":
        given["outputs"] = "out"
    (cwd / "job.txt").write_text(text(Job(**given)))
    return start(folder, "--job", "job.txt", cwd=cwd)


def error_of(result: Said) -> tuple[int, str, str]:
    status, events = result
    assert events[-1]["event"] == "error", events
    assert [event["event"] for event in events].count("error") == 1
    return status, events[-1]["code"], events[-1]["message"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_version_shows_that_kernels_and_delegate_are_registered(
    host_runner: Path, tmp_path: Path
) -> None:
    status, [event] = start(host_runner, "--version", cwd=tmp_path)
    assert (status, event["event"], event["protocol"]) == (0, "hello", 3)
    assert event["runtime"] == "executorch"
    assert event["version"] == json.loads((host_runner / "runner.json").read_bytes())["version"]
    assert event["kernels"] > 200
    assert "XnnpackBackend" in event["backends"].split()


def test_events_of_goldens(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    status, events = run(host_runner, tiny["int8"].path, tmp_path, threads=2)
    assert status == 0
    kinds = ["hello", "environment", "loaded", *["sample"] * 5, "memory", "environment", "done"]
    assert [event["event"] for event in events] == kinds
    hello, before, loaded, *timed, memory, after, done = events
    assert hello["machine"] == "x86_64"
    assert (before["when"], after["when"]) == ("before", "after")
    assert before["mem_available_kb"] > 1000
    assert before["cpus"][0]["cpu"] == 0
    assert loaded["threads"] == 2
    assert loaded["ms"] == pytest.approx(loaded["open_ms"] + loaded["prepare_ms"], abs=0.001)
    assert [(event["index"], event["round"]) for event in timed] == [(n, 0) for n in range(5)]
    assert all(event["ms"] > 0 for event in timed)
    assert 1_000 < memory["rss_kb"] <= memory["vm_hwm_kb"] < 500_000
    assert memory["pss_kb"] <= memory["rss_kb"]
    assert (done["samples"], done["rounds"]) == (5, 1)
    assert names(tmp_path) == [*FILES, "out"]


def test_latency_goes_on_until_runs_and_seconds_are_reached(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()[:2]])
    model = tiny["fp32"].path
    _, events = run(host_runner, model, tmp_path, mode="latency", runs=7, warm_ups=3)
    timed = [(event["index"], event["round"]) for event in events if event["event"] == "sample"]
    assert timed == [(index, turn) for turn in range(7) for index in range(2)]
    assert (events[-1]["samples"], events[-1]["rounds"]) == (14, 7)
    assert names(tmp_path) == FILES

    _, events = run(host_runner, model, tmp_path, mode="latency", runs=1, seconds=0.5)
    assert events[-1]["rounds"] > 100
    assert 500 <= events[-1]["ms"] < 5000
    total = sum(event["ms"] for event in events if event["event"] == "sample")
    assert total < events[-1]["ms"]


def test_what_was_timed_can_be_checked(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    model = tiny["fp32"]
    run(host_runner, model.path, tmp_path, mode="latency", runs=3, outputs="out")
    for [got], want in zip(stream.read(tmp_path / "out"), model.expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5, rtol=0)


def test_load_is_measured_cold_and_warm(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    (tmp_path / "m.pte").write_bytes(tiny["fp32"].path.read_bytes())
    _, events = run(host_runner, tiny["fp32"].path, tmp_path, mode="load", runs=3)
    loads = [event for event in events if event["event"] == "loaded"]
    order = [(n, cold) for n in range(3) for cold in (True, False)]
    assert [(event["index"], event["cold"]) for event in loads] == order
    assert all(event["first_ms"] > 0 for event in loads)
    # What the kernel kept of the file: nothing on a disk, all of it where the disk is memory.
    assert all(event["resident"] in (0, 1) for event in loads[::2])
    assert all(event["resident"] is None for event in loads[1::2])


def test_a_long_run_beats(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [[np.zeros((1, 24), np.int64)]])
    _, events = run(host_runner, tiny["fp32"].path, tmp_path, mode="latency", seconds=6)
    beats = [event for event in events if event["event"] == "heartbeat"]
    assert len(beats) >= 1
    assert 0 < beats[0]["sample"] < events[-1]["samples"]


def test_it_stays_on_its_cores(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    assert run(host_runner, tiny["fp32"].path, tmp_path, cores=(0,))[0] == 0
    result = run(host_runner, tiny["fp32"].path, tmp_path, cores=(0, 1023))
    status, code, message = error_of(result)
    assert (status, code) == (64, "cores")
    assert "core 1023 is not there" in message


@pytest.mark.parametrize(
    "words", [[], ["--job"], ["--what", "x"], ["--job", "a", "b"], ["--version", "x"]]
)
def test_wrong_options(host_runner: Path, tmp_path: Path, words: list[str]) -> None:
    status, code, _ = error_of(start(host_runner, *words, cwd=tmp_path))
    assert (status, code) == (64, "usage")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_inputs(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").write_bytes(MALFORMED[name])
    status, code, _ = error_of(run(host_runner, tiny["fp32"].path, tmp_path))
    assert (status, code) == (65, "stream")
    assert names(tmp_path) == FILES


def test_every_truncation_is_refused_before_the_first_sample(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [[np.array([[1, 2]])], [np.array([[1, 2, 3]])]])
    whole = (tmp_path / "in").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "in").write_bytes(whole[:size])
        result = run(host_runner, tiny["fp32"].path, tmp_path)
        assert error_of(result)[:2] == (65, "stream")
        assert [event["event"] for event in result[1]] == ["hello", "error"]


def test_flipped_bytes_never_crash_it(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()[:2]])
    whole = (tmp_path / "in").read_bytes()
    draw = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(whole)
        # Ids are left alone: the stream is on trial here, not the embedding's bounds.
        at = int(draw.choice([*range(16 + 4 + 8 + 16), *range(60, 60 + 4 + 8 + 16)]))
        broken[at] ^= int(draw.integers(1, 256))
        (tmp_path / "in").write_bytes(broken)
        status, events = run(host_runner, tiny["fp32"].path, tmp_path)
        assert status in (0, 65), (at, status, events)
        assert events[-1]["event"] == ("error" if status else "done")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([], "0 tensors given, the model takes 1"),
        ([np.zeros((1, 4), np.int64)] * 2, "2 tensors given"),
        ([np.zeros((1, 4), np.float32)], "float32, the model takes Long"),
        ([np.zeros(4, np.int64)], "shape"),
        ([np.zeros((1, 25), np.int64)], "shape"),
    ],
)
@pytest.mark.parametrize("mode", ["goldens", "latency", "load"])
def test_samples_that_do_not_fit(
    host_runner: Path,
    tiny: dict[str, Tiny],
    tmp_path: Path,
    tensors: list[Any],
    reason: str,
    mode: str,
) -> None:
    stream.write(tmp_path / "in", [tensors])
    status, code, message = error_of(run(host_runner, tiny["fp32"].path, tmp_path, mode=mode))
    assert (status, code) == (65, "inputs")
    assert reason in message
    assert names(tmp_path) == FILES


def test_nothing_to_time(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [])
    for mode in ("latency", "load"):
        result = run(host_runner, tiny["fp32"].path, tmp_path, mode=mode)
        assert error_of(result) == (65, "inputs", "no samples")


def test_broken_models(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    whole = tiny["int8"].path.read_bytes()
    for content in (b"", b"not a program", whole[:100], whole[:-1000], b"\0" * len(whole)):
        (tmp_path / "m.pte").write_bytes(content)
        status, code, _ = error_of(run(host_runner, tmp_path / "m.pte", tmp_path))
        assert (status, code) == (70, "executorch")
        assert not (tmp_path / "out").exists()


def test_missing_files(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    assert error_of(run(host_runner, tiny["fp32"].path, tmp_path))[:2] == (66, "missing")
    stream.write(tmp_path / "in", [])
    (tmp_path / "m.pte").unlink()
    assert error_of(run(host_runner, tmp_path / "no", tmp_path))[:2] == (66, "missing")
    (tmp_path / "m.pte").mkdir()
    assert error_of(run(host_runner, tmp_path / "no", tmp_path))[:2] == (66, "missing")
    assert error_of(start(host_runner, "--job", "no", cwd=tmp_path))[:2] == (66, "missing")


def test_outputs_that_cannot_be_written(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    (tmp_path / "out.partial").symlink_to("/dev/full")
    result = run(host_runner, tiny["fp32"].path, tmp_path)
    assert error_of(result)[:2] == (74, "storage-full")
    assert names(tmp_path) == FILES
    (tmp_path / "out.partial").mkdir()
    result = run(host_runner, tiny["fp32"].path, tmp_path)
    assert error_of(result)[:2] == (73, "output")


def test_a_file_name_cannot_break_the_json(host_runner: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(HEAD + struct.pack("<I", 0))
    name = '"}\n{"event":"done"}\x1b[31m\u00e9' + "x" * 200
    status, code, message = error_of(start(host_runner, "--job", name, cwd=tmp_path))
    assert (status, code) == (66, "missing")
    assert message.isascii()
    assert message.isprintable()


def test_every_library_is_in_the_folder(host_runner: Path, host_onnx_runner: Path) -> None:
    tools = toolchain.find("x86_64")
    for folder in (host_runner, host_onnx_runner):
        assert list(toolchain.unresolved(tools, folder)) == []
    linked = set(toolchain.needed(tools, host_runner / "runner"))
    assert set(toolchain.recipe()["runtimes"]["executorch"]["libraries"]) <= linked
    assert "libonnxruntime.so.1" in toolchain.needed(tools, host_onnx_runner / "runner-onnx")
    assert toolchain.needed(tools, host_runner / "libexecutorch.so")  # the check sees something
