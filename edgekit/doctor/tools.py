"""Programs outside Python: compilers, the emulator, adb, and what edgekit builds with them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from edgekit.doctor import Check


@dataclass(frozen=True)
class Tool:
    """A program under any of its names, what it is for, and how to get it."""

    name: str
    programs: tuple[str, ...]
    purpose: str
    fix: str


TOOLS = (
    Tool(
        "cross compiler",
        ("aarch64-linux-gnu-g++",),
        "edgekit runner build",
        "sudo apt-get install g++-aarch64-linux-gnu",
    ),
    Tool(
        "qemu-user",
        ("qemu-aarch64-static", "qemu-aarch64"),
        "edgekit verify --arm64",
        "sudo apt-get install qemu-user-static",
    ),
    Tool("cmake", ("cmake",), "building the runner by hand", "sudo apt-get install cmake"),
)


def checks() -> list[Check]:
    """Every tool, then adb, the runners and the library."""
    return [*(_tool(tool) for tool in TOOLS), _adb(), _runner(), _library()]


def _tool(tool: Tool) -> Check:
    found = next((path for name in tool.programs if (path := shutil.which(name))), None)
    if found is None:
        return Check("tools", tool.name, "absent", "not found", f"for {tool.purpose}", tool.fix)
    return Check("tools", tool.name, "ok", found, f"for {tool.purpose}")


def _adb() -> Check:
    from edgekit.device import adb
    from edgekit.errors import AdbMissing

    wanted = "for talking to phones"
    try:
        return Check("tools", "adb", "ok", adb.find().program, wanted)
    except AdbMissing as missing:
        return Check("tools", "adb", "absent", missing.message, wanted, missing.hint)


def _runner() -> Check:
    from edgekit.device import job, runner

    found = {runtime: runner.find(runtime=runtime) for runtime in job.RUNTIMES}
    lacking = [runtime for runtime, folder in found.items() if folder is None]
    wanted = "for edgekit verify --arm64, test and bench"
    if lacking:
        what = f"not built for {', '.join(lacking)}"
        return Check("tools", "arm64 runners", "absent", what, wanted, "edgekit runner build")
    folders = ", ".join(str(folder) for folder in found.values())
    return Check("tools", "arm64 runners", "ok", folders, wanted)


def _library() -> Check:
    """What runs a ``.pte`` here; ``edgekit.runtime.executorch`` builds it when it is needed."""
    from edgekit.device import library

    name, wanted = ".pte library", "for running a .pte here without torch"
    found = library.find()
    if found is not None:
        return Check("tools", name, "ok", str(found), wanted)
    if library.can_build():
        return Check("tools", name, "ok", "not built: the first use builds it", wanted)
    what = "no compiler for it: a .pte runs by torch here, with 700 MB more and a slow start"
    return Check("tools", name, "absent", what, wanted, "sudo apt-get install g++ binutils")
