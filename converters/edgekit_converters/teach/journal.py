"""Answers that were given, each on the disk before the next question is asked.

An answer is found by the hash of all that it depends on, so that a run that was killed, or one with
more prompts, asks and pays for nothing twice. The file lies beside the rows and stays there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import as_write_errors
from edgekit.errors import InputRefused, TemporaryFailure
from edgekit_converters.teach.teachers import Answered


def key(*parts: Any) -> str:
    """The name of an answer: a hash of everything that it depends on, JSON-able."""
    return hashlib.sha256(dump_bytes(list(parts))).hexdigest()


def beside(out: Path) -> Path:
    """Where the answers behind a file of rows are."""
    return out.with_name(f"{out.stem}.journal.jsonl")


class Journal:
    """Answers by key; a context manager that one process at a time can be in."""

    def __init__(self, path: Path) -> None:
        """Plan only."""
        self._path = path
        self._known: dict[str, Answered] = {}
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Read what is there; the half line of a killed run is cut off.

        Raises:
            TemporaryFailure: another process is writing it.
            InputRefused: it is no journal.
            CannotWrite, StorageFull: it cannot be opened.
        """
        with as_write_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o644)
            try:
                self._lock()
                self._read()
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file; one without any answer is removed."""
        empty = not self._known
        self._close()
        if empty:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def get(self, name: str) -> Answered | None:
        """The answer of that key, where it was given."""
        return self._known.get(name)

    def add(self, name: str, answered: Answered) -> None:
        """Keep an answer; it is on the disk when this returns.

        Raises:
            StorageFull, CannotWrite: it could not be kept.
        """
        assert self._file is not None
        line = json.dumps({"key": name, **asdict(answered)}, ensure_ascii=True) + "\n"
        with as_write_errors(self._path):
            _write(self._file, line.encode())
            os.fsync(self._file)
        self._known[name] = answered

    def _lock(self) -> None:
        import fcntl

        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TemporaryFailure(
                f"another run is writing {self._path}", hint="Wait for it, or choose another -o."
            ) from None

    def _read(self) -> None:
        assert self._file is not None
        whole = 0
        with self._path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    entry = json.loads(line)
                    name = str(entry.pop("key"))
                    self._known[name] = Answered(**entry)
                except (ValueError, TypeError, KeyError, AttributeError):
                    raise InputRefused(
                        f"{self._path.name}, line {number} is no answer of a teacher",
                        hint="Move this file away, or choose another -o.",
                    ) from None
        os.ftruncate(self._file, whole)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
