"""A tiny real model in two forms, and the runners, built once."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.device import runner, stream
from edgekit.device.adb import Adb
from edgekit.errors import EdgekitError
from tests.device.tiny import export_tiny, export_tiny_onnx
from tests.support.phone import AdbServer
from tests.support.phone.fixtures import adb_environment, adb_server, make_phone, phone

__all__ = ["adb_environment", "adb_server", "make_phone", "phone"]

VOCABULARY = 50
WIDTH = 32
LONGEST = 24

_fixed = Dim(name="batch", minimum=1, maximum=1)
_length = Dim(name="length", minimum=2, maximum=LONGEST)
_width = Dim(name="width", minimum=WIDTH, maximum=WIDTH)
SIGNATURE = Signature(
    inputs=(TensorSpec(name="ids", dtype="int64", dims=(_fixed, _length)),),
    outputs=(TensorSpec(name="hidden", dtype="float32", dims=(_fixed, _length, _width)),),
)


@dataclass(frozen=True)
class Tiny:
    """One exported program with what the Python runtime here answers to ``samples``."""

    path: Path
    expected: list[NDArray[np.float32]]


def samples() -> list[dict[str, NDArray[np.int64]]]:
    draw = np.random.default_rng(7)
    return [{"ids": draw.integers(0, VOCABULARY, (1, n))} for n in (2, 3, 8, 17, LONGEST)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tiny]:
    folder = tmp_path_factory.mktemp("tiny")
    given = [sample["ids"] for sample in samples()]
    return {
        kind: Tiny(folder / f"{kind}.pte", export_tiny(folder / f"{kind}.pte", kind, given))
        for kind in ("fp32", "int8")
    }


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    path = tmp_path_factory.mktemp("tiny-onnx") / "tiny.onnx"
    return Tiny(path, export_tiny_onnx(path, [sample["ids"] for sample in samples()]))


def required(reason: str) -> None:
    """Skip, or fail where this lane must not be skipped."""
    if os.environ.get("EDGEKIT_REQUIRE_ARM64") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def host_runner() -> Path:
    """The runner of this machine's own architecture."""
    return _host("executorch")


@pytest.fixture(scope="session")
def host_onnx_runner() -> Path:
    """The same for ONNX Runtime."""
    return _host("onnx")


@pytest.fixture(scope="session")
def arm64_runner() -> Path:
    """The cross-compiled runner, and an emulator to run it."""
    return _arm64("executorch")


@pytest.fixture(scope="session")
def arm64_onnx_runner() -> Path:
    """The same for ONNX Runtime."""
    return _arm64("onnx")


def _host(runtime: str) -> Path:
    if os.uname().machine != "x86_64":
        pytest.skip("the host-built runner is tested on x86_64")
    return runner.build(machine="x86_64", runtime=runtime)


def _arm64(runtime: str) -> Path:
    if not any(map(shutil.which, ("qemu-aarch64-static", "qemu-aarch64"))):
        required("no qemu-aarch64: sudo apt-get install qemu-user")
    try:
        return runner.build(runtime=runtime)
    except EdgekitError as error:
        required(f"{error.message} {error.hint}")
        raise


@pytest.fixture
def adb(adb_server: AdbServer) -> Adb:
    return Adb(adb_server.program, adb_server.whole_environment())


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """``samples`` as a job reads them."""
    path = tmp_path / "inputs"
    stream.write(path, [[sample["ids"]] for sample in samples()])
    return path
