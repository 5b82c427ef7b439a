"""The runner itself, built for this machine: its options, its events, and hostile input."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import runner, stream, toolchain
from tests.device.conftest import Tiny, samples
from tests.device.test_stream import HEAD, MALFORMED


def start(folder: Path, *words: str, cwd: Path) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [*runner.command(folder), *words], cwd=cwd, capture_output=True, timeout=120, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def replay(folder: Path, model: Path, cwd: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
    words = ["--model", str(model), "--inputs", "in", "--outputs", "out", *more]
    return start(folder, *words, cwd=cwd)


def error_of(result: tuple[int, list[dict[str, Any]]]) -> tuple[int, str, str]:
    status, events = result
    assert events[-1]["event"] == "error", events
    assert [event["event"] for event in events].count("error") == 1
    return status, events[-1]["code"], events[-1]["message"]


def test_version_shows_that_kernels_and_delegate_are_registered(
    host_runner: Path, tmp_path: Path
) -> None:
    status, [event] = start(host_runner, "--version", cwd=tmp_path)
    assert status == 0
    assert (
        event["executorch"] == json.loads((host_runner / "runner.json").read_bytes())["executorch"]
    )
    assert event["kernels"] > 200
    assert "XnnpackBackend" in event["backends"].split()


def test_events_of_a_run(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    status, events = replay(host_runner, tiny["int8"].path, tmp_path, "--threads", "2")
    assert status == 0
    assert [event["event"] for event in events] == ["loaded", *["sample"] * 5, "done"]
    assert events[0]["threads"] == 2
    assert [event["index"] for event in events[1:-1]] == [0, 1, 2, 3, 4]
    assert all(event["ms"] > 0 for event in events[1:-1])
    assert events[-1]["samples"] == 5
    assert 1_000 < events[-1]["peak_rss_kb"] < 500_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_long_run_beats(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    sample = [np.zeros((1, 24), np.int64)]
    count, took = 1_000, 0.0
    while took < 3_500:  # the beat comes every 3 s
        count = int(count * max(1.5, min(10.0, 4_500 / took if took else 1.5)))
        stream.write(tmp_path / "in", [sample] * count)
        _, events = replay(host_runner, tiny["fp32"].path, tmp_path)
        took = events[-1]["ms"]
    beats = [event for event in events if event["event"] == "heartbeat"]
    assert len(beats) >= max(1, took // 5_000)
    assert 0 < beats[0]["sample"] < count


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--model"],
        ["--model", "m"],
        ["--what", "x"],
        ["--threads", "0", "--version"],
        ["--threads", "2x", "--version"],
        ["--threads", "99999999999999999999", "--version"],
    ],
)
def test_wrong_options(host_runner: Path, tmp_path: Path, words: list[str]) -> None:
    status, code, _ = error_of(start(host_runner, *words, cwd=tmp_path))
    assert (status, code) == (64, "usage")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_inputs(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").write_bytes(MALFORMED[name])
    status, code, _ = error_of(replay(host_runner, tiny["fp32"].path, tmp_path))
    assert (status, code) == (65, "stream")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_every_truncation_is_refused_before_the_first_sample(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    stream.write(tmp_path / "in", [[np.array([[1, 2]])], [np.array([[1, 2, 3]])]])
    whole = (tmp_path / "in").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "in").write_bytes(whole[:size])
        result = replay(host_runner, tiny["fp32"].path, tmp_path)
        assert error_of(result)[:2] == (65, "stream")
        assert len(result[1]) == 1


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
        status, events = replay(host_runner, tiny["fp32"].path, tmp_path)
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
def test_samples_that_do_not_fit(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path, tensors: list[Any], reason: str
) -> None:
    stream.write(tmp_path / "in", [tensors])
    status, code, message = error_of(replay(host_runner, tiny["fp32"].path, tmp_path))
    assert (status, code) == (65, "inputs")
    assert reason in message
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_broken_models(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    whole = tiny["int8"].path.read_bytes()
    for content in (b"", b"not a program", whole[:100], whole[:-1000], b"\0" * len(whole)):
        (tmp_path / "m.pte").write_bytes(content)
        status, code, _ = error_of(replay(host_runner, tmp_path / "m.pte", tmp_path))
        assert (status, code) == (70, "executorch")
        assert not (tmp_path / "out").exists()


def test_missing_and_unwritable(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    model = tiny["fp32"].path
    assert error_of(replay(host_runner, model, tmp_path))[:2] == (66, "missing")
    stream.write(tmp_path / "in", [])
    assert error_of(replay(host_runner, tmp_path / "no.pte", tmp_path))[:2] == (66, "missing")
    assert error_of(replay(host_runner, tmp_path, tmp_path))[:2] == (66, "missing")
    words = ["--model", str(model), "--inputs", "in", "--outputs", "no/out"]
    assert error_of(start(host_runner, *words, cwd=tmp_path))[:2] == (73, "output")


def test_a_full_disk(host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path) -> None:
    stream.write(tmp_path / "in", [list(sample.values()) for sample in samples()])
    (tmp_path / "out.partial").symlink_to("/dev/full")
    result = replay(host_runner, tiny["fp32"].path, tmp_path)
    assert error_of(result)[:2] == (74, "storage-full")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_file_name_cannot_break_the_json(host_runner: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(HEAD + struct.pack("<I", 0))
    name = '"}\n{"event":"done"}\x1b[31m\u00e9' + "x" * 200
    status, code, message = error_of(replay(host_runner, Path(name), tmp_path))
    assert (status, code) == (66, "missing")
    assert message.isascii()
    assert message.isprintable()


def test_every_library_is_in_the_folder(host_runner: Path) -> None:
    tools = toolchain.find("x86_64")
    assert list(toolchain.unresolved(tools, host_runner)) == []
    linked = set(toolchain.needed(tools, host_runner / "runner"))
    assert {f"lib{name}.so" for name in toolchain.recipe()["libraries"]} <= linked
    assert toolchain.needed(tools, host_runner / "libexecutorch.so")  # the check sees something
