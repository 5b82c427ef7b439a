"""The native runners, each one folder that starts by itself: built once, cached, checked at use.

A folder holds the program, its runtime's libraries and glibc's own loader, so it needs nothing of
the system that it starts on: ``./ld-linux-aarch64.so.1 --library-path . ./runner``. It is what runs
under emulation here and what is meant for phones; it has not been tried on any phone.

The folder is kept as ``kept`` says: held against the digests in ``runner.json`` at every use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.device import kept, sdk, toolchain
from edgekit.device.kept import RECORD as RECORD
from edgekit.device.kept import cache_root as cache_root
from edgekit.errors import SpecError, Unavailable

_SCHEMA = 2


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
    with kept.alone(root / "runner", tell):
        return _build(tools, runtime, root, force, tell)


def find(machine: str = "aarch64", runtime: str = "executorch") -> Path | None:
    """The cached runner built from this edgekit's sources and pins; None if absent or damaged.

    Raises:
        SpecError: no such runtime.
    """
    wanted = _wanted(machine, runtime)
    return kept.find(cache_root() / "runner", f"{machine}-{runtime}", wanted)


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

    def make(shop: Path, folder: Path) -> dict[str, Any]:
        unpacked = kit.unpack(shop / "sdk")
        tell(f"compiling with {tools.version}")
        toolchain.assemble(tools, runtime, kit.version, unpacked, folder)
        program = _of_recipe(runtime)["program"]
        return {"start": [f"./{tools.loader}", "--library-path", ".", f"./{program}"]}

    return kept.build(root / "runner", f"{machine}-{runtime}", inputs, make, force=force, tell=tell)


def _wanted(machine: str, runtime: str) -> dict[str, Any]:
    """The inputs that can be told without a compiler or a wheel."""
    own = _of_recipe(runtime)
    version = sdk.pinned_version(own["package"])
    return {
        "schema": _SCHEMA,
        "machine": machine,
        "runtime": runtime,
        "package": own["package"],
        "version": version,
        "sources": toolchain.digests([*toolchain.recipe()["sources"], *own["sources"]]),
        "arguments": toolchain.arguments(runtime, version, "SDK", own["program"]),
    }
