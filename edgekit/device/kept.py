"""Folders that are built once and kept: made aside, put in place whole, checked at every use.

Nothing is believed because of its name: every file is held against the digests in the folder's
record, and the record against what the folder would be built from now.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import write_error
from edgekit.bundle.hashing import sha256_file
from edgekit.errors import EdgekitError

RECORD = "runner.json"
_WORKSHOP = ".building-"

Say = Callable[[str], None]


def cache_root() -> Path:
    """Where edgekit keeps what can be made again: EDGEKIT_HOME, else the user's cache folder."""
    if home := os.environ.get("EDGEKIT_HOME"):
        return Path(home).absolute()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache).absolute() / "edgekit"
    return Path.home() / ".cache" / "edgekit"


@contextlib.contextmanager
def alone(folder: Path, tell: Say) -> Iterator[None]:
    """One build at a time in ``folder``; the kernel frees the lock of a build that is killed.

    Raises:
        CannotWrite: the cache cannot be written.
        StorageFull: there is no room in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell("another build is under way: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise _cache_error(error, cache_root()) from error


def find(parent: Path, prefix: str, wanted: Mapping[str, Any]) -> Path | None:
    """A sound folder whose record has what is ``wanted``; None if absent or damaged."""
    for folder in sorted(parent.glob(f"{prefix}-*")):
        record = _record(folder)
        if record is not None and _matches(record, wanted) and _sound(folder, record):
            return folder
    return None


def build(
    parent: Path,
    prefix: str,
    inputs: Mapping[str, Any],
    make: Callable[[Path, Path], Mapping[str, Any]],
    *,
    force: bool,
    tell: Say,
) -> Path:
    """The folder that ``inputs`` stand for: the one that is kept, or a new one.

    Args:
        parent: where folders are kept; the caller is ``alone`` there.
        prefix: of the name; a digest of ``inputs`` follows.
        inputs: JSON-able; all that the bytes depend on.
        make: takes a place for scraps and the folder to fill; what it returns is recorded.
        force: build whatever is kept.
        tell: told each step in one line.
    """
    final = parent / f"{prefix}-{hashlib.sha256(dump_bytes(dict(inputs))).hexdigest()[:16]}"
    record = _record(final)
    if not force and record is not None and _matches(record, inputs) and _sound(final, record):
        tell("nothing changed: using the one in the cache")
        return final
    with _workshop(parent) as shop:
        folder = shop / "made"
        folder.mkdir()
        more = make(shop, folder)
        _write_record(folder, {**inputs, **more})
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


def _matches(record: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    return all(record.get(name) == value for name, value in inputs.items())


def _write_record(folder: Path, facts: dict[str, Any]) -> None:
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.iterdir())
    }
    (folder / RECORD).write_bytes(dump_bytes({**facts, "files": files}))


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        data = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and isinstance(data.get("files"), dict) else None


def _sound(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether the folder holds exactly the recorded files, byte for byte."""
    files = record["files"]
    try:
        if {path.name for path in folder.iterdir()} != {RECORD, *files}:
            return False
        return all(sha256_file(folder / name) == files[name]["sha256"] for name in files)
    except (OSError, KeyError, TypeError):
        return False


def _cache_error(error: OSError, root: Path) -> EdgekitError:
    refused = write_error(error, root)
    refused.hint = "Set EDGEKIT_HOME to a folder with room that you may write to."
    return refused
