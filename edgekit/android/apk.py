"""An APK's entries with the place of their bytes, and its signing block; nothing is believed."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgekit.errors import InputMissing, InputRefused

_MAGIC = b"APK Sig Block 42"
_LOCAL = struct.Struct("<4s5H3I2H")
_EOCD = struct.Struct("<4s4H2IH")
_MOST_BLOCK = 16 << 20
_MOST_ENTRIES = 100_000
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One file of an APK; ``offset`` is where its bytes begin."""

    name: str
    stored: bool
    bytes: int
    offset: int


class Apk:
    """An open APK."""

    def __init__(self, path: Path) -> None:
        """Read the directory.

        Raises:
            InputMissing: there is no such file.
            InputRefused: it is no archive.
        """
        if not path.is_file():
            raise InputMissing(f"no such APK: {path}")
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise InputRefused(f"{path} is no APK: {error}") from None
        with path.open("rb") as file:
            try:
                self._tail(file)
                self.entries = {entry.name: entry for entry in self._entries(file)}
                self.signing = self._signing_block(file)
            except (struct.error, OverflowError, OSError) as error:
                self._zip.close()
                raise InputRefused(f"{path} is damaged: {error}") from None

    def read(self, name: str, most: int = 64 << 20) -> bytes:
        """A file's bytes.

        Raises:
            InputRefused: it is not there, damaged, or longer than ``most``.
        """
        return b"".join(self.blocks(name, most))

    def blocks(self, name: str, most: int = 8 << 30) -> Iterator[bytes]:
        """A file's bytes, in blocks."""
        try:
            left = most
            with self._zip.open(name) as file:
                while block := file.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise InputRefused(f"{name} has more than {most} bytes")
                    yield block
        except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
            raise InputRefused(f"{name} of {self.path} cannot be read: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _tail(self, file: IO[bytes]) -> None:
        size = file.seek(0, 2)
        length = _EOCD.size + len(self._zip.comment)
        file.seek(size - length)
        self.end = file.read(length)
        fields = _EOCD.unpack_from(self.end)
        self.directory, self.directory_bytes, self.end_at = fields[6], fields[5], size - length
        if self.directory + self.directory_bytes != self.end_at:
            raise InputRefused(f"{self.path} has bytes between its directory and its end")

    def _entries(self, file: IO[bytes]) -> Iterator[Entry]:
        infos = self._zip.infolist()
        if len(infos) > _MOST_ENTRIES or len({info.filename for info in infos}) != len(infos):
            raise InputRefused(f"{self.path} has one name twice, or too many files")
        for info in infos:
            file.seek(info.header_offset)
            fields = _LOCAL.unpack(file.read(_LOCAL.size))
            offset = info.header_offset + _LOCAL.size + fields[9] + fields[10]
            stored = info.compress_type == zipfile.ZIP_STORED
            yield Entry(info.filename, stored, info.file_size, offset)

    def _signing_block(self, file: IO[bytes]) -> dict[int, bytes]:
        """Id -> value of the pairs before the central directory; empty where there is none."""
        self.signing_at = self.directory
        if self.directory < 32:
            return {}
        file.seek(self.directory - 24)
        size, magic = struct.unpack("<Q16s", file.read(24))
        if magic != _MAGIC:
            return {}
        if not 24 <= size <= min(_MOST_BLOCK, self.directory - 8):
            raise InputRefused(f"{self.path} has a signing block of {size} bytes")
        self.signing_at = self.directory - size - 8
        file.seek(self.signing_at + 8)
        rest, found = file.read(size - 24), {}
        while rest:
            (length,) = struct.unpack_from("<Q", rest)
            if not 4 <= length <= len(rest) - 8:
                raise InputRefused(f"{self.path} has a damaged signing block")
            found[struct.unpack_from("<I", rest, 8)[0]] = rest[12 : 8 + length]
            rest = rest[8 + length :]
        return found
