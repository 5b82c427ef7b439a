"""Building and caching the runner: every fault is provoked in a cache folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from edgekit.device import runner, sdk, toolchain
from edgekit.errors import CannotWrite, InternalError, SpecError, Unavailable, UnsafeInput

MACHINE = os.uname().machine
BUILD = f"from edgekit.device import runner; print(runner.build(machine={MACHINE!r}))"
WHEEL = f"executorch-{sdk.pinned_version()}-cp311-cp311-manylinux_2_28_riscv64.whl"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def copied(home: Path, host_runner: Path) -> Path:
    """A sound runner in a cache of its own."""
    target = home / "runner" / host_runner.name
    shutil.copytree(host_runner, target)
    return target


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert runner.cache_root() == Path("/a")
    monkeypatch.delenv("EDGEKIT_HOME")
    assert runner.cache_root() == Path("/b/edgekit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert runner.cache_root() == Path("/c/.cache/edgekit")


def test_a_second_build_returns_at_once(copied: Path) -> None:
    said: list[str] = []
    began = time.monotonic()
    assert runner.build(machine=MACHINE, say=said.append) == copied
    assert time.monotonic() - began < 2
    assert "nothing changed" in said[-1]
    assert runner.find(MACHINE) == copied


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes(copied: Path) -> None:
    before = (copied / runner.RECORD).read_bytes()
    said: list[str] = []
    assert runner.build(machine=MACHINE, force=True, say=said.append) == copied
    assert "compiling" in said[-2]
    assert (copied / runner.RECORD).read_bytes() == before


@pytest.mark.parametrize("damage", ["flip", "truncate", "extra", "missing", "record", "no record"])
def test_damage_is_noticed(copied: Path, damage: str) -> None:
    program, record = copied / "runner", copied / runner.RECORD
    data = program.read_bytes()
    if damage == "flip":
        program.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "truncate":
        program.write_bytes(data[:-1])
    elif damage == "extra":
        (copied / "libmore.so").write_bytes(b"")
    elif damage == "missing":
        (copied / "libc.so.6").unlink()
    elif damage == "record":
        record.write_text('{"files": [')
    else:
        record.unlink()
    assert runner.find(MACHINE) is None


@pytest.mark.slow
def test_a_damaged_runner_is_built_again(copied: Path) -> None:
    before = (copied / "runner").read_bytes()
    (copied / "runner").write_bytes(before[:-1] + b"?")
    assert runner.build(machine=MACHINE) == copied
    assert (copied / "runner").read_bytes() == before


def test_a_changed_source_is_another_runner(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = copied.parent / "native"
    shutil.copytree(toolchain.NATIVE, changed)
    with (changed / "events.cpp").open("a") as file:
        file.write("// changed\n")
    monkeypatch.setattr(toolchain, "NATIVE", changed)
    assert runner.find(MACHINE) is None


def _building(home: Path) -> list[Path]:
    return list((home / "runner").glob(".building-*"))


@pytest.mark.slow
def test_sigkill_leaves_nothing_that_looks_finished(host_runner: Path, home: Path) -> None:
    for delay in (0.0, 0.2, 0.6):
        child = subprocess.Popen([sys.executable, "-c", BUILD], start_new_session=True)
        while not _building(home) and child.poll() is None:
            time.sleep(0.01)
        time.sleep(delay)
        os.killpg(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it finished before it was killed"
        assert _building(home)
        assert runner.find(MACHINE) is None
        assert [p.name for p in (home / "runner").iterdir() if p.name[0] != "."] == []
    assert runner.build(machine=MACHINE).name == host_runner.name
    assert _building(home) == []


@pytest.mark.slow
def test_two_builds_at_once(host_runner: Path, home: Path) -> None:
    pair = [
        subprocess.Popen([sys.executable, "-c", BUILD], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=300)[0].strip() for child in pair]
    assert [child.returncode for child in pair] == [0, 0]
    assert said == [str(home / "runner" / host_runner.name)] * 2
    assert runner.find(MACHINE) is not None


@pytest.mark.slow
def test_a_full_disk_is_named(host_runner: Path, home: Path) -> None:
    script = (
        "import resource; from edgekit.device import runner; from edgekit.errors import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        f"try: runner.build(machine={MACHINE!r})\n"
        "except StorageFull as error: print(error.exit_status, error.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("74 Set EDGEKIT_HOME"), done.stderr
    assert _building(home) == []
    assert runner.find(MACHINE) is None


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(CannotWrite) as caught:
        runner.build(machine=MACHINE)
    assert "EDGEKIT_HOME" in caught.value.hint


def test_no_compiler(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable) as caught:
        runner.build()
    assert caught.value.exit_status == 69
    assert caught.value.hint == "Run: sudo apt-get install g++-aarch64-linux-gnu"
    assert not home.exists()


def test_an_unknown_machine_or_runtime() -> None:
    with pytest.raises(SpecError, match="riscv64"):
        runner.build(machine="riscv64")
    for call in (runner.build, runner.find, runner.built):
        with pytest.raises(SpecError, match="'tflite'") as caught:
            call(runtime="tflite")
        assert caught.value.hint == "Known: executorch, onnx."


def test_a_runner_that_is_not_built_is_named_with_its_command(home: Path) -> None:
    with pytest.raises(Unavailable, match="aarch64 runner for onnx") as caught:
        runner.built(runtime="onnx")
    assert caught.value.hint == "Run: edgekit runner build"
    with pytest.raises(Unavailable) as caught:
        runner.built("x86_64")
    assert caught.value.hint == "Run: edgekit runner build --machine x86_64"


def test_one_runner_is_not_taken_for_the_other(copied: Path) -> None:
    assert runner.built(MACHINE, "executorch") == copied
    assert runner.find(MACHINE, "onnx") is None
    copied.rename(copied.with_name(copied.name.replace("executorch", "onnx")))
    assert runner.find(MACHINE, "onnx") is None


def test_a_source_of_the_other_runtime_changes_nothing(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copied.parent / "native"
    shutil.copytree(toolchain.NATIVE, changed)
    with (changed / "engine_onnx.cpp").open("a") as file:
        file.write("// changed\n")
    monkeypatch.setattr(toolchain, "NATIVE", changed)
    assert runner.find(MACHINE) == copied


@pytest.mark.slow
def test_source_that_does_not_compile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = home / "native"
    shutil.copytree(toolchain.NATIVE, native)
    (native / "events.cpp").write_text("int main( {\n")
    monkeypatch.setattr(toolchain, "NATIVE", native)
    with pytest.raises(InternalError, match=r"compiler failed: events.cpp:1.*error"):
        runner.build(machine=MACHINE)
    assert _building(home) == []


def _wheel(folder: Path, content: bytes) -> Path:
    """A wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    info = f"executorch-{sdk.pinned_version()}.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr("executorch/include/a.h", content)
        archive.writestr("executorch/other.py", b"not wanted")
        version = sdk.pinned_version()
        metadata = f"Metadata-Version: 2.1\nName: executorch\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes its wheels from, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    _wheel(tmp_path / "index", b"first")
    return tmp_path / "index"


def test_pip_failure_gives_its_last_line(index: Path, tmp_path: Path) -> None:
    (index / WHEEL).unlink()
    with pytest.raises(Unavailable, match=r"pip said: ERROR: .*executorch==") as caught:
        sdk.locate("riscv64", tmp_path / "wheels")
    assert caught.value.exit_status == 69
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_wheel_is_fetched_once_and_held_to_its_digest(index: Path, tmp_path: Path) -> None:
    cache = tmp_path / "wheels"
    first = sdk.locate("riscv64", cache)
    (index / WHEEL).rename(index / "away")
    assert sdk.locate("riscv64", cache) == first  # without the index
    (index / "away").rename(index / WHEEL)
    (cache / WHEEL).write_bytes(b"damaged")
    assert sdk.locate("riscv64", cache) == first  # fetched again
    _wheel(index, b"another")
    (cache / WHEEL).write_bytes(b"damaged")
    with pytest.raises(UnsafeInput, match="was recorded before"):
        sdk.locate("riscv64", cache)
    assert not (cache / WHEEL).exists()
    assert sdk.locate("riscv64", cache, fresh=True).sha256 != first.sha256


def test_only_headers_and_libraries_are_unpacked(index: Path, tmp_path: Path) -> None:
    kit = sdk.locate("riscv64", tmp_path / "wheels")
    root = kit.unpack(tmp_path / "sdk")
    files = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
    assert files == ["include/a.h"]


def test_of_onnxruntime_only_the_library_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        for name in ("libonnxruntime.so.1.0", "libonnxruntime_providers_shared.so", "x.py"):
            archive.writestr(f"onnxruntime/capi/{name}", name)
    root = sdk.Sdk("onnxruntime", "1.0", "w.whl", "", tmp_path / "w.whl").unpack(tmp_path / "sdk")
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["libonnxruntime.so.1.0"]


@pytest.mark.parametrize("name", ["../../../out", "../../lib/../../out", "a\\..\\out"])
def test_a_path_that_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        archive.writestr(f"executorch/lib/{name}", b"x")
    with pytest.raises(UnsafeInput):
        sdk.Sdk("executorch", "1", "w.whl", "", tmp_path / "w.whl").unpack(
            tmp_path / "deep" / "sdk"
        )
    assert [p for p in tmp_path.rglob("*out*") if p.is_file()] == []


def test_links_bombs_and_broken_archives(tmp_path: Path) -> None:
    path = tmp_path / "w.whl"
    kit = sdk.Sdk("executorch", "1", "w.whl", "", path)
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("executorch/lib/l.so")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeInput, match="link"):
        kit.unpack(tmp_path / "sdk")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(9):
            archive.writestr(f"executorch/lib/{index}.so", b"\0" * (64 << 20))
    with pytest.raises(UnsafeInput, match="512 MiB"):
        kit.unpack(tmp_path / "sdk")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UnsafeInput, match="not a sound wheel"):
        kit.unpack(tmp_path / "sdk")
    assert not (tmp_path / "sdk").exists()
