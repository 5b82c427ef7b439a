"""What a bench was measured with: versions, the caller's git state, the machine in a few words."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

# What makes two phones, or two computers, the same machine for a comparison.
MACHINE = ("manufacturer", "model", "soc", "machine", "processors", "app")
_GIT_SECONDS = 5.0


def software(folder: Path) -> dict[str, Any]:
    """Versions of what measures, and the git state of ``folder`` where there is one."""
    return {
        "edgekit": metadata.version("edgekit"),
        "python": platform.python_version(),
        "host": f"{platform.system()} {platform.machine()}",
        "git": git_state(folder),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether files differ from it; None outside a repository or without git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return None
    return {"commit": commit[:64], "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an environment that a comparison holds equal."""
    return {name: environment[name] for name in MACHINE if environment.get(name) is not None}


def processors(environment: Mapping[str, Any]) -> int | None:
    """How many processors the place has; None when it does not say."""
    for name in ("processors", "cores", "cpus"):
        value = environment.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if isinstance(value, list | tuple) and value:
            return len(value)
    return None
