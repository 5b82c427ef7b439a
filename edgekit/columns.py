"""Rows of a data file by named columns, one at a time: memory does not grow with the file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

from edgekit.errors import InputMissing, InputRefused, SpecError

_LONGEST_LINE = 1 << 20
_SHAPE = "A JSONL line is one JSON object a row; a CSV or TSV begins with a line of column names."


@dataclass(frozen=True)
class Row:
    """One row of a data file.

    Attributes:
        number: from 1 in the order of the file.
        line: where the row ends in the file.
        values: by column name.
        file: the file's name, for messages.
    """

    number: int
    line: int
    values: dict[str, Any]
    file: str

    def wrong(self, column: str, wanted: str) -> InputRefused:
        """What is raised for a value that will not do."""
        found = self.values.get(column)
        shown = "missing" if found is None else f"{type(found).__name__} {str(found)[:60]!r}"
        return InputRefused(
            f"{self.file}, row {self.number} (line {self.line}): {column} is {shown}",
            hint=f"It must be {wanted}.",
            row=self.number,
            line=self.line,
            column=column,
        )

    def text(self, column: str) -> str:
        """A text with at least one visible character.

        Raises:
            InputRefused: it is something else.
        """
        value = self.values.get(column)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(column, "a text that is not empty")
        return value

    def number_in(self, column: str) -> float:
        """A finite number, in a CSV as a text.

        Raises:
            InputRefused: it is something else.
        """
        value = self.values.get(column)
        try:
            found = float(value) if isinstance(value, str | int | float) else None
        except ValueError:
            found = None
        if found is None or isinstance(value, bool) or not abs(found) < float("inf"):
            raise self.wrong(column, "a finite number")
        return found

    def texts(self, column: str, least: int = 1) -> tuple[str, ...]:
        """Several texts: a list, in a CSV written as JSON.

        Raises:
            InputRefused: it is something else, or there are fewer than ``least``.
        """
        value = self.values.get(column)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        sound = isinstance(value, list) and all(isinstance(text, str) and text for text in value)
        if not sound or not isinstance(value, list) or len(value) < least:
            raise self.wrong(column, f"a list of {least} or more texts")
        return tuple(value)

    def text_or_texts(self, column: str) -> tuple[str, ...]:
        """One text, or several as for ``texts``.

        Raises:
            InputRefused: it is something else.
        """
        value = self.values.get(column)
        alone = isinstance(value, str) and not value.lstrip().startswith("[")
        return (self.text(column),) if alone else self.texts(column)

    def index(self, column: str, labels: Sequence[str]) -> int:
        """A label's index, from its name or from the index itself.

        Raises:
            InputRefused: no label is called so; the nearest is named.
        """
        value = self.values.get(column)
        if isinstance(value, str) and value in labels:
            return labels.index(value)
        words = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(words, str) and words.isascii() and words.isdigit() and len(words) < 10:
            index = int(words)
            if index < len(labels):
                return index
        near = get_close_matches(str(value), labels, n=1)
        known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
        guess = f"; did you mean {near[0]!r}?" if near else "."
        raise self.wrong(column, f"one of the model's labels{guess} Labels: {known}")


def read(path: Path, limit: int | None = None) -> Iterator[Row]:
    """The rows of a ``.jsonl``, ``.csv`` or ``.tsv`` file.

    Args:
        path: the file, UTF-8.
        limit: stop after so many rows.

    Raises:
        SpecError: another ending.
        InputMissing: there is no such file.
        InputRefused: it cannot be read, or a line is malformed.
    """
    readers: dict[str, Callable[[IO[str], Path], Iterator[tuple[int, dict[str, Any]]]]] = {
        ".csv": lambda file, at: _table(file, at, ","),
        ".tsv": lambda file, at: _table(file, at, "\t"),
        ".jsonl": _json_lines,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SpecError(f"{path.name} is none of .jsonl, .csv and .tsv", hint=_SHAPE)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, (line, values) in enumerate(reader(file, path), 1):
                if limit is not None and number > limit:
                    return
                yield Row(number, line, values, path.name)
    except FileNotFoundError:
        raise InputMissing(
            f"no such file: {path}", hint="Pass a .jsonl, .csv or .tsv file.", path=str(path)
        ) from None
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {error.strerror}", hint=_SHAPE) from error
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path} is not UTF-8: {error.reason}", hint="Save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise InputRefused(f"{path} is not a table: {error}", hint=_SHAPE) from None


def first(path: Path) -> Row:
    """The first row, which says what columns there are.

    Raises:
        InputRefused: the file has no rows, or see ``read``.
    """
    for row in read(path, 1):
        return row
    raise InputRefused(f"{path.name} has no rows", hint=_SHAPE)


def fingerprint(path: Path, limit: int | None) -> str:
    """A digest of what is read of a file: equal data has an equal one."""
    digest = hashlib.sha256(f"{limit}\n".encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _table(file: IO[str], path: Path, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.DictReader(_lines(file, path), strict=True, delimiter=separator)
    names = [name or "" for name in rows.fieldnames or ()]
    if len(set(names)) != len(names):
        raise InputRefused(f"{path.name} names a column twice: {', '.join(names)}", hint=_SHAPE)
    for row in rows:
        if None in row or None in row.values():
            raise InputRefused(
                f"{path.name}, line {rows.line_num}: {len(names)} columns are named, this row has "
                "another number",
                hint="Put texts that hold a separator or a line break in quotes.",
            )
        yield rows.line_num, dict(row)


def _json_lines(file: IO[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(file, path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputRefused(f"{path.name}, line {number}: not a JSON object", hint=_SHAPE)
        yield number, row


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    """The file's lines, none so long that it fills the memory."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise InputRefused(
                f"{path.name}, line {number}: longer than a million characters", hint=_SHAPE
            )
        yield line
