"""CMakeLists.txt builds the same runner as edgekit does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit.device import runner, sdk, toolchain
from tests.device.conftest import required


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["x86_64", pytest.param("aarch64", marks=pytest.mark.arm64)])
def test_cmake(machine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if shutil.which("cmake") is None:
        (required if machine == "aarch64" else pytest.skip)("no cmake: sudo apt-get install cmake")
    ours: Path = request.getfixturevalue("host_runner" if machine == "x86_64" else "arm64_runner")
    kit = sdk.locate(machine, runner.cache_root() / "wheels")
    options = [
        f"-DEXECUTORCH_SDK={kit.unpack(tmp_path / 'sdk')}",
        f"-DEDGEKIT_EXECUTORCH_VERSION={kit.version}",
    ]
    if machine == "aarch64":
        options.append(f"-DCMAKE_TOOLCHAIN_FILE={toolchain.NATIVE / 'aarch64-linux-gnu.cmake'}")
    build = str(tmp_path / "build")
    run = ["cmake", "-S", str(toolchain.NATIVE), "-B", build, *options]
    for command in (run, ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tools = toolchain.find(machine)
    made = tmp_path / "build" / "runner"
    assert toolchain.needed(tools, made) == toolchain.needed(tools, ours / "runner")
    recipe = json.loads((toolchain.NATIVE / "build.json").read_bytes())
    assert sorted(p.name for p in toolchain.NATIVE.glob("*.cpp")) == recipe["sources"]
    if machine == "x86_64":
        version = [str(made), "--version"]
        theirs = subprocess.run(version, capture_output=True, timeout=60, check=True).stdout
        words = [*runner.command(ours), "--version"]
        assert theirs == subprocess.run(words, capture_output=True, timeout=60, check=True).stdout
