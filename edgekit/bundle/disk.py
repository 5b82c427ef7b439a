"""Room on the disk, and what the system means when it refuses a write."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import CannotWrite, StorageFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED = frozenset(
    {
        errno.EACCES,
        errno.EIO,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


def require_space(parent: Path, need_bytes: int) -> None:
    """Refuse early when a folder's disk has too little room.

    Args:
        parent: where the output will be made; it need not exist yet.
        need_bytes: room that the whole job needs at its peak.

    Raises:
        StorageFull: fewer bytes are free; both figures are named.
        CannotWrite: the place cannot be asked.
    """
    place = Path(os.path.abspath(parent))
    with as_write_errors(place):
        while not place.exists():
            place = place.parent
        have = shutil.disk_usage(place).free
    if have < need_bytes:
        raise StorageFull(
            f"not enough room in {place}: need {_mib(need_bytes)}, have {_mib(have)}",
            hint="Free some space there, or choose another disk with -o.",
            need_bytes=need_bytes,
            have_bytes=have,
        )


def write_error(error: OSError, place: Path) -> CannotWrite | StorageFull:
    """The typed failure for a write under ``place`` that the system refused."""
    message = f"cannot write {place}: {error.strerror or error}"
    if error.errno in FULL:
        return StorageFull(
            message,
            hint="Free some space there, or choose another disk with -o.",
            path=str(place),
        )
    return CannotWrite(
        message, hint="Choose a folder that you may write to with -o.", path=str(place)
    )


@contextlib.contextmanager
def as_write_errors(place: Path) -> Iterator[None]:
    """Turn every OSError of the block into the typed failure of a write under ``place``."""
    try:
        yield
    except OSError as error:
        raise write_error(error, place) from error


def flush_tree(folder: Path) -> None:
    """Wait until every file and folder under ``folder`` is on the disk; links are not followed."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root, name)
            if not path.is_symlink():
                _flush(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        flush_folder(Path(root))


def flush_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    # One may write into a folder that one may not list; then there is nothing to open.
    with contextlib.suppress(PermissionError):
        _flush(folder, os.O_RDONLY | os.O_DIRECTORY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
