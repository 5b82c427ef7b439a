"""The arm64 lane: one program here, in the host-built runner, and on emulated processors."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgekit.bundle.manifest import Signature
from edgekit.device import protocol, runner, stream, toolchain
from edgekit.device.job import Job, text
from edgekit.errors import (
    InputMissing,
    InputRefused,
    InternalError,
    SpecError,
    TemporaryFailure,
    Unavailable,
)
from edgekit.runtime import arm64
from edgekit.targets import TARGETS
from edgekit.verify import verify
from tests.device.conftest import SIGNATURE, Tiny, samples
from tests.device.tiny import operators

CPUS = sorted(TARGETS["android-arm64"].emulated_cpus.values())


def compare(kind: Tiny, outputs: list[dict[str, np.ndarray]], tolerance: float) -> None:
    assert len(outputs) == len(kind.expected)
    for got, want in zip(outputs, kind.expected, strict=True):
        assert list(got) == ["hidden"]
        assert got["hidden"].dtype == np.float32
        np.testing.assert_allclose(got["hidden"], want, atol=tolerance, rtol=0)


def test_the_models_need_every_library(tiny: dict[str, Tiny]) -> None:
    assert "quantized_decomposed::embedding_byte" in operators(tiny["int8"].path)
    assert {"aten::embedding", "aten::cumsum"} <= operators(tiny["fp32"].path)
    assert all(b"XnnpackBackend" in kind.path.read_bytes() for kind in tiny.values())


@pytest.mark.parametrize("kind", ["fp32", "int8"])
@pytest.mark.parametrize("threads", [1, 2, None])
def test_host_runner_agrees(
    host_runner: Path, tiny: dict[str, Tiny], kind: str, threads: int | None
) -> None:
    seen: list[tuple[int, int]] = []
    outputs = arm64.replay(
        tiny[kind].path,
        SIGNATURE,
        samples(),
        machine="x86_64",
        threads=threads,
        progress=lambda done, of: seen.append((done, of)),
    )
    compare(tiny[kind], outputs, 1e-5)
    assert seen == [(n, 5) for n in range(1, 6)]


@pytest.mark.arm64
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("kind", "tolerance"), [("fp32", 1e-5), ("int8", 1e-3)])
def test_arm64_agrees(
    arm64_runner: Path, tiny: dict[str, Tiny], cpu: str, kind: str, tolerance: float
) -> None:
    arm64.ensure_available(cpu)
    compare(tiny[kind], arm64.replay(tiny[kind].path, SIGNATURE, samples(), cpu=cpu), tolerance)


@pytest.mark.arm64
def test_the_clock_limit_is_that_of_now(
    arm64_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    """The emulator shows it files of a processor that may run at less than it could."""
    cpu = tmp_path / "root/sys/devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    told = {"scaling_cur_freq": 1_500_000, "scaling_max_freq": 1_800_000}
    for name, khz in {**told, "cpuinfo_max_freq": 2_800_000}.items():
        (cpu / name).write_text(f"{khz}\n")
    (cpu / "scaling_governor").write_text("walt\n")
    stream.write(tmp_path / "in", [list(samples()[0].values())])
    (tmp_path / "m").symlink_to(tiny["int8"].path)
    (tmp_path / "job").write_text(text(Job(mode="goldens", model="m", inputs="in", outputs="out")))
    emulator = ["qemu-aarch64-static", "-L", str(tmp_path / "root")]
    words = [*emulator, *runner.command(arm64_runner), "--job", "job"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=120, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    readings = [event["cpus"][0] for event in events if event["event"] == "environment"]
    wanted = {"cpu": 0, "khz": 1_500_000, "max_khz": 1_800_000, "governor": "walt"}
    assert readings == [wanted, wanted]


@pytest.mark.arm64
def test_verify_replays_both_artifacts(
    arm64_runner: Path, arm64_onnx_runner: Path, tiny_bundle: Path
) -> None:
    hops = verify(tiny_bundle, arm64=["a76"])
    assert [(hop.hop, hop.artifact) for hop in hops] == [
        ("executorch", "model.pte"),
        ("onnx", "model.onnx"),
        ("arm64 a76 executorch", "model.pte"),
        ("arm64 a76 onnx", "model.onnx"),
    ]
    assert all(hop.passed for hop in hops)
    (_, hop) = verify(tiny_bundle, runtimes=["onnx"], arm64=["a76"])
    assert hop.hop == "arm64 a76 onnx"


@pytest.mark.arm64
def test_an_unknown_processor(arm64_runner: Path) -> None:
    with pytest.raises(SpecError, match="cortex-z1") as caught:
        arm64.ensure_available("cortex-z1")
    assert "cortex-a76" in caught.value.hint


@pytest.mark.arm64
def test_no_emulator(arm64_runner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable) as caught:
        arm64.ensure_available()
    assert caught.value.exit_status == 69
    assert caught.value.hint == "Run: sudo apt-get install qemu-user"


@pytest.mark.arm64
def test_an_illegal_instruction_is_named(arm64_runner: Path, tmp_path: Path) -> None:
    (tmp_path / "t.cpp").write_text('int main() { asm(".inst 0"); }\n')
    command = ["aarch64-linux-gnu-g++", "-static", "t.cpp", "-o", "t"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    assert qemu is not None
    with pytest.raises(InternalError, match="ended by SIGILL on cortex-a53") as caught:
        protocol.drive([qemu, "t"], where="cortex-a53 under qemu", cwd=tmp_path, timeout=60)
    assert "instruction that this processor does not have" in caught.value.hint


@pytest.mark.arm64
@pytest.mark.parametrize("content", [b"", b"not a program", b"\0" * 5000])
def test_a_broken_model_on_arm64(arm64_runner: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pte").write_bytes(content)
    with pytest.raises((InputRefused, InternalError), match="ExecuTorch error 0x"):
        arm64.replay(tmp_path / "m.pte", SIGNATURE, samples())


@pytest.mark.arm64
def test_no_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))
    (tmp_path / "m.pte").write_bytes(b"")
    for call in (
        arm64.ensure_available,
        lambda: arm64.replay(tmp_path / "m.pte", SIGNATURE, samples()),
    ):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.hint == "Run: edgekit runner build"


def on_host(path: Path, signature: Signature = SIGNATURE, **more: float) -> None:
    arm64.replay(path, signature, samples(), machine="x86_64", **more)


def test_a_missing_operator_is_named(
    tiny: dict[str, Tiny], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = tmp_path / "native"
    shutil.copytree(toolchain.NATIVE, native)
    plan = toolchain.recipe()
    plan["runtimes"]["executorch"]["libraries"].remove("libexecutorch_kernels_quantized.so")
    (native / "build.json").write_text(json.dumps(plan))
    monkeypatch.setattr(toolchain, "NATIVE", native)
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    runner.build(machine="x86_64")
    on_host(tiny["fp32"].path)
    with pytest.raises(InternalError, match=r"0x14 OperatorMissing.*embedding_byte"):
        on_host(tiny["int8"].path)


def test_a_truncated_model_is_refused(
    host_runner: Path, tiny: dict[str, Tiny], tmp_path: Path
) -> None:
    (tmp_path / "m.pte").write_bytes(tiny["fp32"].path.read_bytes()[:5000])
    with pytest.raises(InputRefused, match="0x23 InvalidProgram"):
        on_host(tmp_path / "m.pte")


def test_a_missing_model(host_runner: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        on_host(tmp_path / "m.pte")


def test_a_signature_of_another_model(host_runner: Path, tiny: dict[str, Tiny]) -> None:
    one = SIGNATURE.inputs[0]
    other = one.model_copy(update={"name": "mask"})
    two = SIGNATURE.model_copy(update={"inputs": (one, other)})
    given = [{**sample, "mask": sample["ids"]} for sample in samples()]
    with pytest.raises(InputRefused, match="2 tensors given, the model takes 1"):
        arm64.replay(tiny["fp32"].path, two, given, machine="x86_64")
    floats = SIGNATURE.model_copy(update={"inputs": (one.model_copy(update={"dtype": "float32"}),)})
    cast = [{"ids": sample["ids"].astype(np.float32)} for sample in samples()]
    with pytest.raises(InputRefused, match="float32, the model takes Long"):
        arm64.replay(tiny["fp32"].path, floats, cast, machine="x86_64")
    none = SIGNATURE.model_copy(update={"outputs": ()})
    with pytest.raises(InputRefused, match="gave 1 outputs, its signature has 0"):
        on_host(tiny["fp32"].path, none)


def test_samples_that_are_not_the_signatures(host_runner: Path, tiny: dict[str, Tiny]) -> None:
    for sample, reason in (
        ({"tokens": samples()[0]["ids"]}, "has the inputs tokens"),
        ({"ids": samples()[0]["ids"].astype(np.int32)}, "is int32, want int64"),
    ):
        with pytest.raises(InputRefused, match=reason):
            arm64.replay(tiny["fp32"].path, SIGNATURE, [sample], machine="x86_64")


def test_a_killed_runner_and_a_timeout(host_runner: Path, tiny: dict[str, Tiny]) -> None:
    def kill(done: int, of: int) -> None:
        for child in psutil.Process().children():
            child.kill()

    many = samples() * 400
    with pytest.raises(InternalError, match="ended by SIGKILL on x86_64"):
        arm64.replay(tiny["fp32"].path, SIGNATURE, many, machine="x86_64", progress=kill)
    with pytest.raises(TemporaryFailure, match="did not finish"):
        arm64.replay(tiny["fp32"].path, SIGNATURE, many, machine="x86_64", timeout=0.02)
    assert psutil.Process().children() == []
