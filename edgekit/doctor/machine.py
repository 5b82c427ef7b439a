"""The machine: Python, system, disk, memory, cache folder."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from edgekit.device.runner import cache_root
from edgekit.doctor import Check

PYTHON = (3, 11)
DISK_BYTES = 4e9
MEMORY_BYTES = 4e9


def checks() -> list[Check]:
    """What the machine offers."""
    return [
        _python(),
        Check("machine", "platform", "ok", f"{platform.system()} {platform.machine()}"),
        Check("machine", "edgekit", "ok", metadata.version("edgekit")),
        _memory(),
        _disk("disk here", Path.cwd()),
        *_cache(),
    ]


def _python() -> Check:
    found = platform.python_version()
    wanted = ".".join(map(str, PYTHON))
    if sys.version_info[:2] < PYTHON:
        fix = f"Create a virtual environment with Python {wanted} or newer."
        return Check("machine", "Python", "missing", found, f">= {wanted}", fix, True)
    return Check("machine", "Python", "ok", found, f">= {wanted}")


def _memory() -> Check:
    available = _available_memory()
    if available is None:
        return Check("machine", "memory", "ok", "unknown")
    found = f"{available / 1e9:.1f} GB free"
    if available < MEMORY_BYTES:
        fix = "Close other programs: an export of a small encoder takes up to 4 GB."
        return Check("machine", "memory", "warning", found, ">= 4 GB", fix)
    return Check("machine", "memory", "ok", found, ">= 4 GB")


def _available_memory() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free"
    if free < DISK_BYTES:
        fix = f"Free some space: du -xh -d1 {folder} | sort -h"
        return Check("machine", name, "warning", found, ">= 4 GB", fix)
    return Check("machine", name, "ok", found, ">= 4 GB")


def _cache() -> list[Check]:
    folder = cache_root()
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        fix = "Name a folder that you can write to: export EDGEKIT_HOME=FOLDER"
        return [Check("machine", "cache folder", "warning", f"{folder} (not writable)", "", fix)]
    return [
        Check("machine", "cache folder", "ok", str(folder)),
        _disk("disk of the cache", existing),
    ]
