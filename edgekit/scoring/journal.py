"""Answers as they come, a line each, on the disk: what is done is not done again after a kill."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.disk import as_write_errors
from edgekit.scoring.kinds import Mark
from edgekit.scoring.metrics import Matrix

FINE, LEFT_OUT, NOT_FINITE = range(3)
_LONGEST_SHOWN = 200
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


class Journal:
    """One contestant's entries in order of the rows."""

    def __init__(self, path: Path, key: str) -> None:
        """Open for more; a journal with another key, or none, begins anew.

        Args:
            path: the file.
            key: a digest of who is asked what.

        Raises:
            CannotWrite, StorageFull: the file cannot be written.
        """
        self._path = path
        with as_write_errors(path):
            self.done = self._resumed(key)
            self._file: IO[str] = path.open("a", encoding="utf-8")
            if not self.done and path.stat().st_size == 0:
                self._file.write(json.dumps({"key": key}) + "\n")
        self._since = 0

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
        with as_write_errors(self._path):
            self._file.write(json.dumps(data) + "\n")
            self._since += 1
            if self._since >= _FLUSHED:
                self._file.flush()
                self._since = 0
        self.done += 1

    def close(self) -> None:
        """Write what is buffered."""
        with as_write_errors(self._path):
            self._file.close()

    def _resumed(self, key: str) -> int:
        """Entries of an earlier run; a last line that is not whole is cut off."""
        if not self._path.is_file():
            return 0
        with self._path.open("rb+") as file:
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
    with path.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            row, status, ms, reason, *rest = json.loads(line)
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


def numbers(found: Iterable[Entry], width: int) -> Kept:
    """The numbers of entries, in their order; ``width`` in a mark."""
    marks, times = array("d"), array("d")
    status, right = array("b"), array("b")
    blank = (float("nan"),) * width
    for entry in found:
        marks.extend(blank if entry.mark is None else entry.mark.numbers)
        known = entry.mark is not None and entry.mark.right is not None
        right.append(int(bool(entry.mark.right)) if known and entry.mark is not None else -1)
        status.append(entry.status)
        times.append(entry.milliseconds)
    return Kept(
        np.array(marks, dtype=np.float64).reshape(-1, width),
        np.array(status, dtype=np.int8),
        np.array(right, dtype=np.int8),
        np.array(times, dtype=np.float64),
    )


def make_folder(folder: Path) -> None:
    """Make the folder for journals.

    Raises:
        CannotWrite, StorageFull: it cannot be made.
    """
    with as_write_errors(folder):
        os.makedirs(folder, exist_ok=True)
