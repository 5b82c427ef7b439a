"""CMakeLists.txt builds the same runner as edgekit does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgekit.device import runner, sdk, toolchain
from tests.device.conftest import required

PRESETS = {"x86_64": "linux-x86_64", "aarch64": "linux-arm64"}
MACHINES = ["x86_64", pytest.param("aarch64", marks=pytest.mark.arm64)]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["executorch", "onnx"])
@pytest.mark.parametrize("machine", MACHINES)
def test_cmake(machine: str, runtime: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if shutil.which("cmake") is None:
        (required if machine == "aarch64" else pytest.skip)("no cmake: sudo apt-get install cmake")
    place = "host" if machine == "x86_64" else "arm64"
    infix = "" if runtime == "executorch" else "_onnx"
    ours: Path = request.getfixturevalue(f"{place}{infix}_runner")
    own = toolchain.recipe()["runtimes"][runtime]
    kit = sdk.locate(machine, runner.cache_root() / "wheels", package=own["package"])
    configure = ["cmake", "--preset", PRESETS[machine], "-B", str(tmp_path / "build")]
    configure += [f"-DEDGEKIT_RUNTIME={runtime}", f"-DEDGEKIT_RUNTIME_VERSION={kit.version}"]
    configure.append(f"-DEDGEKIT_SDK={kit.unpack(tmp_path / 'sdk')}")
    for command in (configure, ["cmake", "--build", str(tmp_path / "build")]):
        done = subprocess.run(
            command, cwd=toolchain.NATIVE, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tools = toolchain.find(machine)
    made = tmp_path / "build" / own["program"]
    assert toolchain.needed(tools, made) == toolchain.needed(tools, ours / own["program"])
    if machine == "x86_64":
        start = runner.command(ours)
        assert hello([*start[:-1], str(made)]) == hello(start)


def hello(start: list[str]) -> dict[str, Any]:
    done = subprocess.run([*start, "--version"], capture_output=True, timeout=60, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    del said["pid"]
    return said


def test_every_source_is_in_the_recipe() -> None:
    recipe = toolchain.recipe()
    own = [name for runtime in recipe["runtimes"].values() for name in runtime["sources"]]
    names = sorted(path.name for path in toolchain.NATIVE.glob("*.cpp"))
    assert sorted({*recipe["sources"], *own, *recipe["library"]["sources"]}) == names


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-DEDGEKIT_RUNTIME=tflite"], "must be executorch or onnx, not 'tflite'"),
        (["-DEDGEKIT_SDK=/nowhere"], "-DEDGEKIT_SDK must name a folder with lib/"),
        (["-DEDGEKIT_RUNTIME=onnx"], "-DEDGEKIT_SDK must name a folder with capi/"),
    ],
)
def test_cmake_says_what_it_needs(tmp_path: Path, options: list[str], reason: str) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake: sudo apt-get install cmake")
    command = ["cmake", "--preset", "linux-x86_64", "-B", str(tmp_path / "build"), *options]
    done = subprocess.run(
        command, cwd=toolchain.NATIVE, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.split())


def test_the_presets() -> None:
    presets = json.loads((toolchain.NATIVE / "CMakePresets.json").read_bytes())
    names = [preset["name"] for preset in presets["configurePresets"]]
    assert names == [*PRESETS.values(), "android-arm64"]
