"""The job file: what is written is what the runner reads, and nothing else is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.device import stream
from edgekit.device.job import Job, as_runtime, file_name, text
from edgekit.errors import SpecError
from tests.device.conftest import Tiny, samples
from tests.device.test_native import error_of, run, start

GOLDENS: dict[str, Any] = {
    "mode": "goldens",
    "model": "model.pte",
    "inputs": "inputs",
    "outputs": "outputs",
}


def test_the_text_of_a_job() -> None:
    job = Job(
        mode="latency",
        runtime="onnx",
        model="model.onnx",
        inputs="in",
        threads=4,
        cores=(6, 4, 4),
        warm_ups=3,
        runs=10,
        seconds=60.0005,
    )
    assert text(job) == (
        "edgekit-job 2\nmode latency\nruntime onnx\nmodel model.onnx\ninputs in\nthreads 4\n"
        "cores 4 6\nwarm_ups 3\nruns 10\nmilliseconds 60000\n"
    )


def test_what_is_about_a_decoder_is_said_in_version_3() -> None:
    job = Job(mode="generate", model="m", inputs="in", context=512, tokens=64, eos=(2, 1))
    assert text(job) == (
        "edgekit-job 3\nmode generate\nruntime executorch\nmodel m\ninputs in\nwarm_ups 0\nruns 1\n"
        "milliseconds 0\ncontext 512\ntokens 64\neos 2 1\n"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": "generation"}, "no mode 'generation'"),
        ({"runtime": "tflite"}, "no runner for 'tflite'"),
        ({"model": "../model.pte"}, "plain file name"),
        ({"model": "/model.pte"}, "plain file name"),
        ({"inputs": ".hidden"}, "plain file name"),
        ({"inputs": "-rf"}, "plain file name"),
        ({"outputs": "a\nmodel x"}, "plain file name"),
        ({"outputs": "a\n"}, "plain file name"),
        ({"model": "x" * 101}, "plain file name"),
        ({"outputs": "inputs"}, "names of their own"),
        ({"outputs": None}, "need a name for their outputs"),
        ({"mode": "load"}, "writes no outputs"),
        ({"threads": 0}, "threads 0 is not within 1 and 256"),
        ({"threads": 257}, "threads"),
        ({"cores": tuple(range(65))}, "number of cores"),
        ({"cores": (-1,)}, "core -1"),
        ({"cores": (1024,)}, "core 1024"),
        ({"warm_ups": -1}, "warm-ups"),
        ({"runs": 0}, "runs"),
        ({"seconds": -0.1}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"mode": "generate", "context": 9}, "needs a context and a number of tokens"),
        ({"mode": "generate", "tokens": 9}, "needs a context and a number of tokens"),
        ({"mode": "latency", "context": 9}, "timed by generate"),
        ({"tokens": 9}, "are of generate"),
        ({"eos": (1,)}, "are of generate"),
        ({"context": 0}, "context 0"),
        ({"context": (1 << 20) + 1}, "context"),
        ({"mode": "generate", "context": 9, "tokens": 2049}, "tokens 2049"),
        ({"mode": "generate", "context": 9, "tokens": 1, "eos": tuple(range(17))}, "number of eos"),
        ({"mode": "generate", "context": 9, "tokens": 1, "eos": (-1,)}, "eos id -1"),
    ],
)
def test_what_a_job_cannot_say(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        Job(**{**GOLDENS, **fields})


def test_names() -> None:
    assert as_runtime("onnx") == "onnx"
    assert file_name("model_1.int8-a.pte") == "model_1.int8-a.pte"
    with pytest.raises(SpecError, match="plain file name"):
        file_name("a/b")


def test_every_bound_is_the_runners_too(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    """The largest job that Python writes is one that the runner reads."""
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    fields: dict[str, Any] = {"threads": 1, "warm_ups": 10_000, "runs": 10_000_000}
    fields |= {"seconds": 86_400.0, "inputs": "in"}
    # The last core is not there: the file was read to its end when that is found.
    result = run(host_runner, tiny["fp32"].path, tmp_path, mode="latency", cores=(1023,), **fields)
    assert error_of(result)[1] == "cores"
    long = Job(**{**GOLDENS, "model": "m" * 100, "inputs": "i" * 100, "outputs": "o" * 100})
    (tmp_path / "job").write_text(text(long))
    assert error_of(start(host_runner, "--job", "job", cwd=tmp_path))[1] == "missing"
    most: Any = {"context": 1 << 20, "tokens": 2048, "eos": ((1 << 30) - 1,) * 16}
    (tmp_path / "job").write_text(text(Job(**{**GOLDENS, "mode": "generate", **most})))
    assert error_of(start(host_runner, "--job", "job", cwd=tmp_path))[1] == "missing"
    many = Job(**{**GOLDENS, "cores": tuple(range(960, 1024))})
    (tmp_path / "job").write_text(text(many))
    assert error_of(start(host_runner, "--job", "job", cwd=tmp_path))[1] == "cores"


WHOLE = text(Job(**GOLDENS))
DECODER = text(Job(**{**GOLDENS, "mode": "generate", "context": 9, "tokens": 8, "eos": (1, 2)}))
REFUSED = {
    "empty": "",
    "another version": WHOLE.replace("job 2", "job 4"),
    "a decoder in version 2": DECODER.replace("job 3", "job 2"),
    "generate without context": DECODER.replace("context 9\n", ""),
    "generate without tokens": DECODER.replace("tokens 8\n", ""),
    "a context of none": DECODER.replace("context 9", "context 0"),
    "a context too long": DECODER.replace("context 9", "context 1048577"),
    "too many tokens": DECODER.replace("tokens 8", "tokens 2049"),
    "too many eos": DECODER.replace("eos 1 2", "eos " + " ".join(["1"] * 17)),
    "an eos too high": DECODER.replace("eos 1 2", "eos 1073741824"),
    "goldens with tokens": DECODER.replace("mode generate", "mode goldens"),
    "latency of a decoder": DECODER.replace("mode generate", "mode latency"),
    "no end": WHOLE[:-1],
    "carriage returns": WHOLE.replace("\n", "\r\n"),
    "not ASCII": WHOLE.replace("inputs inputs", "inputs \u00efnputs"),
    "a byte of zero": WHOLE.replace("inputs inputs", "inputs in\0puts"),
    "too long": WHOLE + "".join(f"cores {n}\n" for n in range(1000)),
    "a blank line": WHOLE + "\n",
    "no value": WHOLE + "threads\n",
    "an empty value": WHOLE + "threads \n",
    "an unknown key": WHOLE + "shell true\n",
    "a key twice": WHOLE + "model other\n",
    "no model": WHOLE.replace("model model.pte\n", ""),
    "no mode": WHOLE.replace("mode goldens\n", ""),
    "an unknown mode": WHOLE.replace("goldens", "generation"),
    "another runtime": WHOLE.replace("executorch", "onnx"),
    "a path": WHOLE.replace("model.pte", "../model.pte"),
    "an absolute path": WHOLE.replace("model.pte", "/etc/passwd"),
    "a parent": WHOLE.replace("model.pte", ".."),
    "a name with a space": WHOLE.replace("model.pte", "model pte"),
    "a long name": WHOLE.replace("model.pte", "m" * 101),
    "one name twice": WHOLE.replace("outputs outputs", "outputs inputs"),
    "goldens without outputs": WHOLE.replace("outputs outputs\n", ""),
    "loading with outputs": WHOLE.replace("goldens", "load"),
    "no thread": WHOLE + "threads 0\n",
    "too many threads": WHOLE + "threads 257\n",
    "a number with a tail": WHOLE + "threads 2x\n",
    "a negative number": WHOLE + "threads -2\n",
    "a number over 64 bits": WHOLE + "threads 99999999999999999999\n",
    "a core too high": WHOLE + "cores 0 1024\n",
    "cores with two spaces": WHOLE + "cores 0  1\n",
    "too many cores": WHOLE + "cores " + " ".join(["1"] * 65) + "\n",
    "no run": WHOLE.replace("runs 1\n", "runs 0\n"),
    "a day and more": WHOLE.replace("milliseconds 0\n", "milliseconds 86400001\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_runner_refuses(host_runner: Path, tmp_path: Path, name: str) -> None:
    assert REFUSED[name] != WHOLE
    (tmp_path / "job").write_bytes(REFUSED[name].encode("utf-8"))
    status, code, message = error_of(start(host_runner, "--job", "job", cwd=tmp_path))
    assert (status, code) == (64, "job"), message
    assert message.isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def test_flipped_bytes_of_a_job_never_crash_it(host_runner: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    whole = WHOLE.encode("ascii")
    for _ in range(100):
        broken = bytearray(whole)
        broken[int(draw.integers(len(whole)))] ^= int(draw.integers(1, 256))
        (tmp_path / "job").write_bytes(broken)
        # Whatever it names is not there.
        status, code, _ = error_of(start(host_runner, "--job", "job", cwd=tmp_path))
        assert (status, code) in {(64, "job"), (66, "missing")}
