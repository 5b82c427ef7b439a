"""The library that runs a ``.pte`` in this process, without torch: built once, checked at use.

It is made of the executorch package's own libraries for C++ and of edgekit's attention kernels. The
same package's Python extension brings libraries of the same names, and whoever is loaded second
would be given the first one's: two sets of operators under one name end the process. So the copies
here carry names of their own, and both can live in one process.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.device import kept, sdk, toolchain

_SCHEMA = 1
# As long as the first, so that nothing in a file moves.
_NAME, _OWN_NAME = b"libexecutorch", b"libedgekit_et"


def build(*, force: bool = False, say: Callable[[str], None] | None = None) -> Path:
    """Build the library for this machine, or return the kept one when nothing changed.

    Args:
        force: build again whatever is kept.
        say: told each step in one line.

    Returns:
        The library; the others that it needs lie beside it.

    Raises:
        Unavailable: a compiler or the executorch package is missing; the hint has the command.
        Unsupported: this operating system cannot build it.
        InternalError: it does not compile.
        CannotWrite: the cache cannot be written.
        StorageFull: there is no room in the cache.
    """
    tell = say or (lambda line: None)
    tools = toolchain.find(platform.machine())
    own, package = _recipe()
    root = kept.cache_root()
    with kept.alone(root / "library", tell):
        kit = sdk.locate(tools.machine, root / "wheels", package=package)
        inputs = {
            **_wanted(),
            "compiler": tools.version,
            "wheel": {"file": kit.origin, "sha256": kit.sha256},
        }

        def make(shop: Path, folder: Path) -> dict[str, Any]:
            tell(f"compiling with {tools.version}")
            _assemble(tools, kit.version, kit.unpack(shop / "sdk"), folder)
            return {}

        parent = root / "library"
        folder = kept.build(parent, tools.machine, inputs, make, force=force, tell=tell)
    return folder / str(own["program"])


def find() -> Path | None:
    """The kept library built from this edgekit's sources and pins; None if absent or damaged."""
    parent = kept.cache_root() / "library"
    folder = kept.find(parent, platform.machine(), _wanted())
    return None if folder is None else folder / str(_recipe()[0]["program"])


def can_build() -> bool:
    """Whether what ``build`` needs seems to be here; nothing is run."""
    machine = platform.machine()
    return sys.platform == "linux" and machine in toolchain.LOADERS and toolchain.present(machine)


def _recipe() -> tuple[dict[str, Any], str]:
    """What ``build.json`` says of the library, and the package that it is made of."""
    plan = toolchain.recipe()
    own: dict[str, Any] = plan["library"]
    return own, plan["runtimes"][own["runtime"]]["package"]


def _wanted() -> dict[str, Any]:
    """The inputs that can be told without a compiler or the package."""
    own, package = _recipe()
    version = sdk.pinned_version(package)
    return {
        "schema": _SCHEMA,
        "machine": platform.machine(),
        "package": package,
        "version": version,
        "sources": toolchain.digests(own["sources"]),
        "arguments": _arguments(version, "SDK", "FOLDER"),
    }


def _arguments(version: str, sdk_folder: str, folder: str) -> list[str]:
    plan = toolchain.recipe()
    own = plan["library"]
    return [
        *toolchain.compiling(own["runtime"], version, sdk_folder),
        *own["compile"],
        *own["sources"],
        "-o",
        f"{folder}/{own['program']}",
        f"-L{folder}",
        *plan["link"],
        *own["link"],
        *(f"-l:{_renamed(name)}" for name in plan["runtimes"][own["runtime"]]["libraries"]),
    ]


def _assemble(tools: toolchain.Toolchain, version: str, package: Path, folder: Path) -> None:
    plan = toolchain.recipe()
    own = plan["library"]
    runtime = plan["runtimes"][own["runtime"]]
    for name in runtime["libraries"]:
        copy = folder / _renamed(name)
        copy.write_bytes(
            (package / runtime["folder"] / name).read_bytes().replace(_NAME, _OWN_NAME)
        )
        copy.chmod(0o755)
        toolchain.run([tools.strip, "--strip-unneeded", str(copy)], "strip")
    command = [tools.compiler, *_arguments(version, str(package), str(folder))]
    toolchain.run(command, "the compiler", cwd=toolchain.NATIVE)
    made = folder / own["program"]
    toolchain.run([tools.strip, "--strip-unneeded", str(made)], "strip")


def _renamed(name: str) -> str:
    return name.replace(_NAME.decode(), _OWN_NAME.decode())
