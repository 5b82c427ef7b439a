"""The native runners, each one folder that starts by itself: built once, cached, checked at use.

A folder holds the program, its runtime's libraries and glibc's own loader, so it needs nothing of
the system that it starts on: ``./ld-linux-aarch64.so.1 --library-path . ./runner``. It is what runs
under emulation here and what is meant for phones; it has not been tried on any phone.

Nothing in the cache is believed because of its name: every file is held against the digests in
``runner.json`` before the folder is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import write_error
from edgekit.bundle.hashing import sha256_file
from edgekit.device import sdk, toolchain
from edgekit.errors import EdgekitError, SpecError, Unavailable

RECORD = "runner.json"
_SCHEMA = 2
_WORKSHOP = ".building-"


def cache_root() -> Path:
    """Where edgekit keeps what can be made again: EDGEKIT_HOME, else the user's cache folder."""
    if home := os.environ.get("EDGEKIT_HOME"):
        return Path(home).absolute()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache).absolute() / "edgekit"
    return Path.home() / ".cache" / "edgekit"


def build(
    *,
    machine: str = "aarch64",
    runtime: str = "executorch",
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Build a runner for ``machine``, or return the cached one when nothing changed.

    Args:
        machine: ``aarch64`` (cross compiled) or ``x86_64``.
        runtime: ``executorch`` or ``onnx``.
        force: fetch and build again whatever the cache holds.
        say: told each step in one line.

    Returns:
        The runner's folder.

    Raises:
        Unavailable: a compiler, pip or the network is missing; the hint has the command.
        Unsupported: this operating system cannot build it.
        UnsafeInput: the downloaded wheel is not what it should be.
        SpecError: no such machine or runtime.
        CannotWrite: the cache cannot be written.
        StorageFull: there is no room in the cache.
    """
    _of_recipe(runtime)
    tell = say or (lambda line: None)
    tools = toolchain.find(machine)
    root = cache_root()
    try:
        with _alone(root / "runner", tell):
            return _build(tools, runtime, root, force, tell)
    except OSError as error:
        raise _cache_error(error, root) from error


def find(machine: str = "aarch64", runtime: str = "executorch") -> Path | None:
    """The cached runner built from this edgekit's sources and pins; None if absent or damaged.

    Raises:
        SpecError: no such runtime.
    """
    wanted = _wanted(machine, runtime)
    for folder in sorted((cache_root() / "runner").glob(f"{machine}-{runtime}-*")):
        record = _record(folder)
        if record is not None and _matches(record, wanted) and _sound(folder, record):
            return folder
    return None


def built(machine: str = "aarch64", runtime: str = "executorch") -> Path:
    """The cached runner, as ``find`` gives it.

    Raises:
        Unavailable: it is absent or damaged; the hint has the command that builds it.
        SpecError: no such runtime.
    """
    folder = find(machine, runtime)
    if folder is None:
        more = "" if machine == "aarch64" else f" --machine {machine}"
        raise Unavailable(
            f"the {machine} runner for {runtime} is not built (or its cached copy is damaged)",
            hint=f"Run: edgekit runner build{more}",
        )
    return folder


def command(folder: Path) -> list[str]:
    """The words that start the runner in ``folder``, its own arguments not included."""
    machine, runtime, _ = folder.name.split("-", 2)
    loader = folder / toolchain.LOADERS[machine]
    program = folder / _of_recipe(runtime)["program"]
    return [str(loader), "--library-path", str(folder), str(program)]


def _of_recipe(runtime: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = toolchain.recipe()["runtimes"]
    if runtime not in known:
        raise SpecError(f"no runner for {runtime!r}", hint=f"Known: {', '.join(known)}.")
    return known[runtime]


def _build(
    tools: toolchain.Toolchain, runtime: str, root: Path, force: bool, tell: Callable[[str], None]
) -> Path:
    machine, package = tools.machine, _of_recipe(runtime)["package"]
    tell(f"{package} {sdk.pinned_version(package)} for {machine}")
    kit = sdk.locate(machine, root / "wheels", package=package, fresh=force)
    inputs = {
        **_wanted(machine, runtime),
        "compiler": tools.version,
        "wheel": {"file": kit.origin, "sha256": kit.sha256},
    }
    key = hashlib.sha256(dump_bytes(inputs)).hexdigest()
    final = root / "runner" / f"{machine}-{runtime}-{key[:16]}"
    record = _record(final)
    if not force and record is not None and _matches(record, inputs) and _sound(final, record):
        tell("nothing changed: using the runner in the cache")
        return final
    with _workshop(root / "runner") as shop:
        unpacked = kit.unpack(shop / "sdk")
        folder = shop / "runner"
        folder.mkdir()
        tell(f"compiling with {tools.version}")
        toolchain.assemble(tools, runtime, kit.version, unpacked, folder)
        _write_record(folder, inputs)
        # No flush to the disk: a power cut that damages the folder is found by its digests.
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    tell(f"built {final.name}")
    return final


@contextlib.contextmanager
def _workshop(parent: Path) -> Iterator[Path]:
    """A folder to build in, gone afterwards; also clears those of builds that were killed."""
    for dead in parent.glob(f"{_WORKSHOP}*"):
        shutil.rmtree(dead, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=parent, prefix=_WORKSHOP, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _wanted(machine: str, runtime: str) -> dict[str, Any]:
    """The inputs that can be told without a compiler or a wheel."""
    own = _of_recipe(runtime)
    names = {*toolchain.recipe()["sources"], *own["sources"]}
    sources = {
        path.name: sha256_file(path)
        for path in sorted(toolchain.NATIVE.iterdir())
        if path.name in names or path.suffix == ".h"
    }
    version = sdk.pinned_version(own["package"])
    return {
        "schema": _SCHEMA,
        "machine": machine,
        "runtime": runtime,
        "package": own["package"],
        "version": version,
        "sources": sources,
        "arguments": toolchain.arguments(runtime, version, "SDK", own["program"]),
    }


def _matches(record: dict[str, Any], inputs: dict[str, Any]) -> bool:
    return all(record.get(name) == value for name, value in inputs.items())


def _write_record(folder: Path, inputs: dict[str, Any]) -> None:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.iterdir())
    }
    loader = toolchain.LOADERS[inputs["machine"]]
    program = _of_recipe(inputs["runtime"])["program"]
    start = [f"./{loader}", "--library-path", ".", f"./{program}"]
    (folder / RECORD).write_bytes(dump_bytes({**inputs, "files": files, "start": start}))


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        data = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and isinstance(data.get("files"), dict) else None


def _sound(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the folder holds exactly the recorded files, byte for byte."""
    files = record["files"]
    try:
        if {path.name for path in folder.iterdir()} != {RECORD, *files}:
            return False
        return all(sha256_file(folder / name) == files[name]["sha256"] for name in files)
    except (OSError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _alone(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """One build at a time; the kernel frees the lock of a build that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another build is under way: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cache_error(error: OSError, root: Path) -> EdgekitError:
    refused = write_error(error, root)
    refused.hint = "Set EDGEKIT_HOME to a folder with room that you may write to."
    return refused
