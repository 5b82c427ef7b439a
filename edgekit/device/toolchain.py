"""The compiler for a machine, and what it takes to make one folder that starts anywhere.

GNU's compilers only: the wheel's libraries use libstdc++, so clang with libc++ cannot link them.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.hashing import sha256_file
from edgekit.device.protocol import clean
from edgekit.errors import InternalError, SpecError, Unavailable, Unsupported

NATIVE = Path(__file__).parent / "native"
LOADERS = {"aarch64": "ld-linux-aarch64.so.1", "x86_64": "ld-linux-x86-64.so.2"}
_TOOLS = ("g++", "readelf", "strip")
_NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]")
_SECONDS = 600


@dataclass(frozen=True)
class Toolchain:
    """Compiler and binutils for one machine. ``version`` is the compiler's own first line."""

    machine: str
    compiler: str
    readelf: str
    strip: str
    version: str

    @property
    def loader(self) -> str:
        """File name of glibc's program loader."""
        return LOADERS[self.machine]

    def system_library(self, name: str) -> Path | None:
        """The compiler's own copy of a shared library, or None."""
        found = run([self.compiler, f"-print-file-name={name}"], "the compiler").strip()
        return Path(found).resolve() if os.path.isabs(found) else None


def find(machine: str) -> Toolchain:
    """The compiler for ``machine``.

    Raises:
        SpecError: no such machine.
        Unsupported: this operating system cannot build it.
        Unavailable: the compiler or its binutils are not installed.
    """
    if machine not in LOADERS:
        raise SpecError(f"no runner for {machine!r}", hint=f"Known: {', '.join(LOADERS)}.")
    if sys.platform != "linux":
        raise Unsupported(
            "the native runner is built on Linux only",
            hint="Build it on a Linux machine or in a container, and copy its folder.",
        )
    package = "g++" if machine == platform.machine() else f"g++-{machine}-linux-gnu"
    tools = {}
    for tool in _TOOLS:
        path = _which(machine, tool)
        if path is None:
            raise Unavailable(
                f"{machine}-linux-gnu-{tool} was not found: it builds the {machine} runner",
                hint=f"Run: sudo apt-get install {package}",
            )
        tools[tool] = path
    version = run([tools["g++"], "--version"], "the compiler").splitlines()[0]
    return Toolchain(machine, tools["g++"], tools["readelf"], tools["strip"], version)


def present(machine: str) -> bool:
    """Whether ``find`` would find all its programs; none is run."""
    return all(_which(machine, tool) for tool in _TOOLS)


def _which(machine: str, tool: str) -> str | None:
    native = machine == platform.machine()
    return shutil.which(f"{machine}-linux-gnu-{tool}") or (shutil.which(tool) if native else None)


def recipe() -> dict[str, Any]:
    """``native/build.json``: sources, libraries and flags, the list that CMake reads too."""
    data: dict[str, Any] = json.loads((NATIVE / "build.json").read_text("utf-8"))
    return data


def arguments(runtime: str, version: str, sdk: str, output: str) -> list[str]:
    """The compiler's arguments; sources are named relative to ``native/``.

    Args:
        runtime: a key of the recipe's ``runtimes``.
        version: of the runtime's package, printed by the runner.
        sdk: the package's folder.
        output: the program to write.
    """
    plan = recipe()
    own = plan["runtimes"][runtime]
    libraries = f"{sdk}/{own['folder']}"
    return [
        *compiling(runtime, version, sdk),
        *plan["sources"],
        *own["sources"],
        "-o",
        output,
        f"-L{libraries}",
        *plan["link"],
        f"-Wl,-rpath-link,{libraries}",
        *(f"-l:{name.replace('{version}', version)}" for name in own["libraries"]),
    ]


def compiling(runtime: str, version: str, sdk: str) -> list[str]:
    """The compiler's arguments for sources against a runtime's package; see ``arguments``."""
    plan = recipe()
    own = plan["runtimes"][runtime]
    return [
        f"-std=c++{plan['standard']}",
        *plan["compile"],
        # Paths of this machine stay out of the program: equal inputs give equal bytes.
        f"-ffile-prefix-map={sdk}={own['package']}",
        *(f"-D{name}" for name in own["definitions"]),
        f'-DEDGEKIT_RUNTIME_VERSION="{version}"',
        *(word for folder in own["include"] for word in ("-isystem", f"{sdk}/{folder}")),
    ]


def digests(sources: Iterable[str]) -> dict[str, str]:
    """Digest of each source and of every header, by name."""
    names = set(sources)
    return {
        path.name: sha256_file(path)
        for path in sorted(NATIVE.iterdir())
        if path.name in names or path.suffix == ".h"
    }


def assemble(tools: Toolchain, runtime: str, version: str, sdk: Path, folder: Path) -> None:
    """Compile a runner into ``folder`` and put every library that it needs beside it.

    Raises:
        InternalError: it does not compile, or a library is nowhere to be found.
    """
    own = recipe()["runtimes"][runtime]
    program = folder / own["program"]
    command = [tools.compiler, *arguments(runtime, version, str(sdk), str(program))]
    run(command, "the compiler", cwd=NATIVE)
    run([tools.strip, "--strip-unneeded", str(program)], "strip")
    pending = [tools.loader, *needed(tools, program)]
    while pending:
        name = pending.pop()
        target = folder / name
        if target.exists():
            continue
        ours = _of_package(sdk / own["folder"], name)
        source = ours or tools.system_library(name)
        if source is None or not source.is_file():
            raise InternalError(f"the runner needs {name}, which neither the wheel nor g++ has")
        shutil.copyfile(source, target)
        target.chmod(0o755)
        if source == ours:
            run([tools.strip, "--strip-unneeded", str(target)], "strip")
        pending += needed(tools, target)
    missing = sorted(set(unresolved(tools, folder)))
    if missing:
        raise InternalError(f"the runner's folder lacks {', '.join(missing)}")


def _of_package(folder: Path, name: str) -> Path | None:
    """A package's library by the name that programs ask for; its file may name more versions."""
    found = [folder / name, *sorted(folder.glob(f"{name}.*"))]
    return next((path for path in found if path.is_file()), None)


def needed(tools: Toolchain, file: Path) -> list[str]:
    """Shared libraries that an ELF file asks its loader for."""
    return _NEEDED.findall(run([tools.readelf, "--dynamic", "--wide", str(file)], "readelf"))


def unresolved(tools: Toolchain, folder: Path) -> Iterator[str]:
    """Libraries that some file of ``folder`` needs and that are not in it."""
    for file in sorted(folder.iterdir()):
        if file.suffix != ".json":
            yield from (name for name in needed(tools, file) if not (folder / name).is_file())


def run(command: list[str], what: str, cwd: Path | None = None) -> str:
    """Run a build tool and return its stdout.

    Raises:
        InternalError: it failed or hung; its first complaint is in the message.
    """
    # The user's CPATH or LIBRARY_PATH must not change what is built.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**kept, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InternalError(f"{what} did not finish within {_SECONDS} s") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        complaint = next((line for line in lines if "error" in line), lines[-1] if lines else "")
        raise InternalError(f"{what} failed: {clean(complaint)}", status=done.returncode)
    return done.stdout.decode("utf-8", "replace")
