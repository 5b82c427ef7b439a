"""The sync service of adb push and adb pull, version 1: STAT, LIST, SEND, RECV, QUIT."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from tests.support.phone.link import Broken, Stream
from tests.support.phone.sandbox import Sandbox

_PIECE = 64 * 1024


class Cut(Exception):
    """The cable came out in the middle of a push."""


class Reader:
    """Takes exact counts of bytes from a stream of payloads."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = memoryview(b"")

    def some(self, most: int) -> memoryview:
        """Up to ``most`` bytes, whatever is there first."""
        if not self._rest:
            self._rest = self._stream.read()
            if not self._rest:
                raise Broken
        part, self._rest = self._rest[:most], self._rest[most:]
        return part

    def take(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            parts += self.some(count - len(parts))
        return bytes(parts)

    def head(self) -> tuple[bytes, int]:
        name, number = struct.unpack("<4sI", self.take(8))
        return name, number


class Sync:
    """One session of the service on one stream."""

    def __init__(self, stream: Stream, sandbox: Sandbox) -> None:
        self.stream = stream
        self.sandbox = sandbox
        self.reader = Reader(stream)

    def serve(self) -> None:
        """Answer requests until QUIT.

        Raises:
            Cut: a fault took the cable out.
            Broken: the other side left.
        """
        actions = {b"STAT": self._stat, b"LIST": self._list, b"RECV": self._receive}
        while True:
            name, length = self.reader.head()
            if name == b"QUIT":
                return
            path = self.reader.take(length).decode("utf-8", "surrogateescape")
            if name == b"SEND":
                self._send(path)
            elif name in actions:
                actions[name](self.sandbox.absolute(path, "/"))
            else:
                self._fail("unknown command")
                return

    def _fail(self, text: str) -> None:
        said = text.encode("utf-8", "surrogateescape")
        self.stream.write(struct.pack("<4sI", b"FAIL", len(said)) + said)

    def _stat(self, path: str) -> None:
        mode, size, when = 0, 0, 0
        with contextlib.suppress(OSError):
            info = self.sandbox.readable(path).stat()
            mode, size, when = info.st_mode, info.st_size & 0xFFFFFFFF, int(info.st_mtime)
        self.stream.write(struct.pack("<4sIII", b"STAT", mode, size, when))

    def _list(self, path: str) -> None:
        entries = bytearray()

        def entry(name: bytes, mode: int, size: int, when: int) -> None:
            entries.extend(struct.pack("<4sIIII", b"DENT", mode, size, when, len(name)) + name)

        with contextlib.suppress(OSError):
            for found in sorted(self.sandbox.readable(path).iterdir()):
                info = found.stat()
                entry(os.fsencode(found.name), info.st_mode, info.st_size, int(info.st_mtime))
        for name in self.sandbox.faults.listed:
            entry(name, stat.S_IFREG | 0o644, 5, 0)
        self.stream.write(bytes(entries) + struct.pack("<4sIIII", b"DONE", 0, 0, 0, 0))

    def _receive(self, path: str) -> None:
        try:
            said = self.sandbox.contents(path)
            data = open(said, "rb") if isinstance(said, Path) else None  # noqa: SIM115
        except OSError as error:
            self._fail(f"open failed: {os.strerror(error.errno or 0)}")
            return
        if data is None:
            assert isinstance(said, bytes)
            self.stream.write(struct.pack("<4sI", b"DATA", len(said)) + said)
        else:
            with data:
                damage = self.sandbox.faults.corrupt_back
                damaged = damage is not None and fnmatchcase(os.path.basename(path), damage)
                while piece := data.read(_PIECE):
                    if damaged:
                        damaged, piece = False, piece[:-1] + bytes([piece[-1] ^ 1])
                    self.stream.write(struct.pack("<4sI", b"DATA", len(piece)) + piece)
        self.stream.write(struct.pack("<4sI", b"DONE", 0))

    def _send(self, request: str) -> None:
        name, _, number = request.rpartition(",")
        path = self.sandbox.absolute(name, "/")
        mode = int(number or "0", 8 if number.startswith("0") else 10) & 0o777
        problem: OSError | None = None
        try:
            target = self.sandbox.writable(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("wb")
        except OSError as error:
            problem = error
            file = open(os.devnull, "wb")  # noqa: SIM115
        damage = self.sandbox.faults.corrupt
        damaged = damage is not None and fnmatchcase(os.path.basename(path), damage)
        with file:
            while True:
                kind, length = self.reader.head()
                if kind != b"DATA":
                    break
                problem = self._data(file, length, damaged, problem)
                damaged = damaged and length == 0
            if problem is None:
                file.truncate()
        if problem is not None:
            action = "couldn't create file" if problem.filename else "write failed"
            self._fail(f"{action}: {os.strerror(problem.errno or 0)}")
            return
        # As adbd does: what the owner may, everybody may.
        owner = mode & 0o700
        target.chmod(owner | owner >> 3 | owner >> 6)
        os.utime(target, (length, length))
        self.stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _data(
        self, file: BinaryIO, length: int, damaged: bool, problem: OSError | None
    ) -> OSError | None:
        """One DATA block; after a problem the rest is taken and thrown away, as adbd does."""
        left = length
        while left:
            part = self.reader.some(left)
            left -= len(part)
            if problem is not None:
                continue
            try:
                self.sandbox.reserve(len(part))
                if damaged:
                    damaged = False
                    file.write(bytes([part[0] ^ 1]))
                    part = part[1:]
                _write(file, part)
            except OSError as error:
                problem = error
            self._check_cable(file)
        return problem

    def _check_cable(self, file: BinaryIO) -> None:
        most = self.sandbox.faults.drop_push_after
        if most is not None and self.sandbox.pushed > most:
            file.flush()
            raise Cut


def _write(file: BinaryIO, part: memoryview) -> None:
    """Blocks of zeros become holes: a test of huge files must not fill this machine."""
    if part[0] == 0 and not part.tobytes().strip(b"\0"):
        file.seek(len(part), os.SEEK_CUR)
    else:
        file.write(part)
