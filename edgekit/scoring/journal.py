"""Answers as they come, a line each, on the disk: what is done is not done again after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.disk import as_write_errors
from edgekit.scoring.kinds import Mark
from edgekit.scoring.metrics import Matrix

FINE, LEFT_OUT, NOT_FINITE = range(3)
_LONGEST_SHOWN = 2000
_FLUSHED = 64


@dataclass(frozen=True)
class Entry:
    """One row's outcome.

    Attributes:
        row: its number.
        status: ``FINE``, ``LEFT_OUT`` (it cannot be asked) or ``NOT_FINITE``.
        milliseconds: of the model alone; NaN where time says nothing.
        mark: None unless the status is ``FINE``.
        reason: why it is not.
    """

    row: int
    status: int
    milliseconds: float
    mark: Mark | None = None
    reason: str = ""


class Lines:
    """JSON lines that are kept from one run to the next, below a line that says whose they are.

    Attributes:
        done: lines that are there.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Open for more; a file with another key, or none, begins anew.

        Args:
            path: the file.
            key: a digest of who is asked what.

        Raises:
            CannotWrite, StorageFull: the file cannot be written.
        """
        self._path = path
        with as_write_errors(path):
            self.done = _resumed(path, key)
            self._file: IO[str] = path.open("a", encoding="utf-8")
            if not self.done and path.stat().st_size == 0:
                self._file.write(json.dumps({"key": key}) + "\n")
        self._since = 0

    def add(self, data: Any) -> None:
        """Write one line.

        Raises:
            CannotWrite, StorageFull: it cannot be written.
        """
        with as_write_errors(self._path):
            self._file.write(json.dumps(data) + "\n")
            self._since += 1
            if self._since >= _FLUSHED:
                self.flush()
        self.done += 1

    def flush(self) -> None:
        """Give what is buffered to the system: a kill does not take it any more."""
        with as_write_errors(self._path):
            self._file.flush()
            self._since = 0

    def close(self) -> None:
        """Write what is buffered."""
        with as_write_errors(self._path):
            self._file.close()


def lines(path: Path) -> Iterator[Any]:
    """What ``Lines`` wrote."""
    with path.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            yield json.loads(line)


def key_of(*words: Any) -> str:
    """A digest of who is asked what, from JSON-able words."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


class Journal:
    """One contestant's entries in order of the rows."""

    def __init__(self, path: Path, key: str) -> None:
        """As of ``Lines``."""
        self._lines = Lines(path, key)

    @property
    def done(self) -> int:
        """Entries that are there."""
        return self._lines.done

    def add(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            CannotWrite, StorageFull: it cannot be written.
        """
        mark, ms = entry.mark, entry.milliseconds
        time = None if ms != ms else round(ms, 4)
        data: list[Any] = [entry.row, entry.status, time, entry.reason]
        if mark is not None:
            shown, wanted = mark.shown[:_LONGEST_SHOWN], mark.wanted[:_LONGEST_SHOWN]
            data += [list(mark.numbers), shown, wanted, mark.right]
        self._lines.add(data)

    def flush(self) -> None:
        """As of ``Lines``."""
        self._lines.flush()

    def close(self) -> None:
        """As of ``Lines``."""
        self._lines.close()


def _resumed(path: Path, key: str) -> int:
    """Lines of an earlier run; a last line that is not whole is cut off."""
    if not path.is_file():
        return 0
    with path.open("rb+") as file:
        head = file.readline()
        try:
            same = head.endswith(b"\n") and json.loads(head) == {"key": key}
        except ValueError:
            same = False
        if not same:
            file.truncate(0)
            return 0
        count, end = 0, file.tell()
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, end = count + 1, end + len(line)
        file.truncate(end)
    return count


def entries(path: Path) -> Iterator[Entry]:
    """What a closed journal holds."""
    for row, status, ms, reason, *rest in lines(path):
        mark = Mark(tuple(rest[0]), *rest[1:]) if rest else None
        yield Entry(row, status, float("nan") if ms is None else ms, mark, reason)


@dataclass(frozen=True)
class Kept:
    """A journal without its words: a few numbers a row.

    Attributes:
        marks: ``(rows, fields)``; NaN where a row is not fine.
        status: ``(rows,)``.
        right: ``(rows,)``: 1, 0, or -1 where there is no such thing.
        milliseconds: ``(rows,)``.
    """

    marks: Matrix
    status: NDArray[np.int8]
    right: NDArray[np.int8]
    milliseconds: NDArray[np.float64]


def numbers(found: Iterable[Entry], width: int, count: int) -> Kept:
    """The numbers of ``count`` entries, in their order; ``width`` in a mark.

    Bytes and no objects: what a row takes here decides how many rows fit into the memory.
    """
    kept = Kept(
        np.full((count, width), np.nan),
        np.empty(count, dtype=np.int8),
        np.full(count, -1, dtype=np.int8),
        np.empty(count),
    )
    for at, entry in enumerate(found):
        kept.status[at], kept.milliseconds[at] = entry.status, entry.milliseconds
        if entry.mark is not None:
            kept.marks[at] = entry.mark.numbers
            if entry.mark.right is not None:
                kept.right[at] = entry.mark.right
    return kept


@contextmanager
def folder(work: Path | None) -> Iterator[Path]:
    """The folder for journals: ``work``, which stays, or a temporary one.

    Raises:
        CannotWrite, StorageFull: it cannot be made.
    """
    if work is None:
        with tempfile.TemporaryDirectory(prefix="edgekit-eval-") as name:
            yield Path(name)
        return
    with as_write_errors(work):
        os.makedirs(work, exist_ok=True)
    yield work
