"""The phone's files: /data/local/tmp is a real folder here, everything else is told or refused."""

from __future__ import annotations

import errno
import fnmatch
import os
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.phone.faults import Faults

HOME = "/data/local/tmp"
_FOLDERS = {"/", "/data", "/data/local", "/proc", "/sys", "/dev", "/sdcard", "/system"}


class Sandbox:
    """Device paths to real paths, with the phone's own refusals.

    Attributes:
        root: the real folder behind /data/local/tmp.
        escapes: device paths outside of it that something tried to write or remove.
    """

    def __init__(self, root: Path, faults: Faults) -> None:
        self.root = root
        self.faults = faults
        self.escapes: list[str] = []
        self.virtual: dict[str, Callable[[], bytes | None]] = {}
        # Of the app that a command works as: its device folder and the real one.
        self.own: Callable[[], tuple[str, Path] | None] = lambda: None
        self.pushed = 0
        self.storage_free = 8 << 30

    def absolute(self, path: str, cwd: str) -> str:
        """The device path that ``path`` means in ``cwd``."""
        return posixpath.normpath("/" + posixpath.join(cwd, path).lstrip("/"))

    def real(self, device_path: str) -> Path | None:
        """Where an absolute device path lies here; None where this user has nothing."""
        for place, root in ((HOME, self.root), self.own() or (HOME, self.root)):
            if device_path == place:
                return root
            if device_path.startswith(place + "/"):
                found = root / device_path[len(place) + 1 :]
                # Lexically inside; a link in the folder must not lead out either.
                return found if found.parent.resolve().is_relative_to(root) else None
        return None

    def readable(self, device_path: str) -> Path:
        """A real file to read.

        Raises:
            OSError: as the phone's kernel would say.
        """
        found = self.real(device_path)
        if found is not None:
            return found
        code = errno.ENOENT if device_path.startswith(("/proc", "/sys", "/data/local")) else None
        if device_path in _FOLDERS:
            code = errno.EISDIR
        raise OSError(code or errno.EACCES, os.strerror(code or errno.EACCES), device_path)

    def writable(self, device_path: str) -> Path:
        """A real path to create, change or remove.

        Raises:
            OSError: refused by the phone or by a fault.
        """
        if self.matches(device_path, self.faults.read_only):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), device_path)
        if self.matches(device_path, self.faults.refused):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), device_path)
        found = self.real(device_path)
        # An app may read what adb left in its folder, and write into its own only.
        foreign = self.own() is not None and device_path.startswith(HOME)
        if found is None or foreign:
            self.escapes.append(device_path)
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), device_path)
        return found

    def contents(self, device_path: str) -> bytes | Path:
        """What a file says: bytes of a virtual one, the path of a real one.

        Raises:
            OSError: there is no such file, or it may not be read.
        """
        if device_path == "/dev/null":
            return b""
        if (tell := self.virtual.get(device_path)) is not None and (said := tell()) is not None:
            return said
        found = self.readable(device_path)
        if found.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), device_path)
        if not found.exists():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), device_path)
        return found

    def matches(self, device_path: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(device_path, pattern) for pattern in patterns)

    def used(self) -> int:
        """Bytes in the folder."""
        return sum(path.stat().st_size for path in self._files())

    def reserve(self, count: int) -> None:
        """Account for bytes that are about to be pushed.

        Raises:
            OSError: the phone's storage is full.
        """
        self.pushed += count
        most = self.faults.storage_full_after
        if (most is not None and self.pushed > most) or self.pushed > self.storage_free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def files(self) -> list[str]:
        """Names of everything under /data/local/tmp, folders with a slash, sorted."""
        found = []
        for folder, folders, names in os.walk(self.root):
            here = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if here == "." else here + "/"
            found += [f"{prefix}{name}/" for name in folders] + [prefix + n for n in names]
        return sorted(found)

    def _files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file())
