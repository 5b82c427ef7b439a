"""What a killed run leaves beside its output: found by name, told from a live run's by a lock.

A run names its working folders ``.NAME.tmp-PID-RANDOM`` and holds an advisory lock on each. The
kernel drops the lock when the process dies, however it dies, so neither a reused process id nor a
second machine's can mislead: a folder that can be locked has no owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path

from edgekit.bundle.rename import rename_new


def new_token() -> str:
    """The part of a working folder's name that no other run has."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def working_folder(final: Path, token: str) -> Path:
    """Where a run writes what will be ``final``."""
    return final.with_name(f".{final.name}.tmp-{token}")


def displaced_folder(final: Path, token: str) -> Path:
    """Where the previous ``final`` waits while it is replaced in two steps."""
    return final.with_name(f".{final.name}.old-{token}")


def lock(folder: Path) -> int | None:
    """Lock a folder without waiting: a descriptor to close, or None when another run has it.

    A folder that is gone, or whose name went to another folder meanwhile, counts as another's.

    Raises:
        OSError: it cannot be opened, or the file system has no locks.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def sweep(final: Path) -> None:
    """Remove what dead runs for the same ``final`` left; put back what one had displaced.

    Whatever cannot be removed stays: the next sweep tries again.
    """
    pattern = re.compile(rf"\.{re.escape(final.name)}\.(tmp|old)-\d+-[0-9a-f]{{8}}")
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(final.parent)):
            if match := pattern.fullmatch(name):
                _sweep_one(final.with_name(name), final, displaced=match[1] == "old")


def _sweep_one(folder: Path, final: Path, *, displaced: bool) -> None:
    # No lock to be had means no way to tell whether its owner lives: it stays.
    with contextlib.suppress(OSError):
        descriptor = lock(folder)
        if descriptor is not None:
            try:
                if displaced:
                    settle(folder, final, working_folder(final, new_token()))
                else:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def settle(displaced: Path, final: Path, waste: Path) -> None:
    """Give a displaced ``final`` its name back; when that is taken, remove the displaced one.

    Each way begins with one rename, so of two runs that settle the same folder one does all.

    Args:
        displaced: the folder; that it is gone already is fine.
        final: its name.
        waste: a free name that no sweep puts back, to be removed under.
    """
    try:
        rename_new(displaced, final)
    except FileExistsError:
        with contextlib.suppress(OSError):
            displaced.rename(waste)
            shutil.rmtree(waste, ignore_errors=True)
    except OSError:
        pass  # gone, or it cannot be moved: the next sweep tries again
