"""Two renames that Python does not offer: never replace, and swap two names in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
# What a kernel, a file system or a container's filter without the call answers. A real EPERM comes
# back from the plain rename that callers then fall back on.
_NOT_OFFERED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})


def rename_new(source: Path, target: Path) -> None:
    """Rename a folder to a name that is free.

    Raises:
        FileExistsError: the name is taken.
        OSError: the system refused.
    """
    if _renameat2(source, target, _NOREPLACE):
        return
    # Without the kernel's help an empty folder under this name can still be replaced by rename();
    # a folder with content, or a file, cannot.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, error.strerror, str(target)) from error
        raise


def exchange(first: Path, second: Path) -> bool:
    """Swap two existing names in one atomic step; False where the system cannot.

    Raises:
        OSError: the system can, and refused.
    """
    return _renameat2(first, second, _EXCHANGE)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_OFFERED:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))
