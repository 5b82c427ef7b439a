"""Records of a user's file, one at a time, each with its place: CSV, TSV, JSONL, parquet, TXT."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import InputMissing, InputRefused, PermissionRefused

_LONGEST_LINE = 16 * 1024 * 1024
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BATCH = 1000

Record = tuple[str, Mapping[str, Any]]


def records(path: Path) -> Iterator[Record]:
    """Each record of a file with its place in words (``row 3``, ``row 3 (line 5)``).

    One record is in memory at a time, whatever the size of the file.

    Raises:
        InputMissing: no such file.
        InputRefused: an unknown kind of file, not UTF-8, malformed, or a line beyond reason.
        PermissionRefused: it may not be read.
    """
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InputMissing(f"{path} {kind}", hint="Give a .csv, .tsv, .jsonl, .parquet or .txt.")
    read = _KINDS.get(path.suffix.lower())
    if read is None:
        raise InputRefused(
            f"{path.name} is no kind of data file that is known",
            hint=f"Name it by what it holds: {', '.join(_KINDS)}.",
        )
    try:
        yield from read(path)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except PermissionError as error:
        raise PermissionRefused(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error


def digest(path: Path) -> str:
    """The file's sha256.

    Raises:
        InputMissing: no such file.
        PermissionRefused: it may not be read.
    """
    if not path.is_file():
        raise InputMissing(f"no data file {path}", hint="Check the path.")
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except PermissionError as error:
        raise PermissionRefused(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; only ``\\n`` ends one, so that line numbers are an editor's."""
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        number = 0
        while line := stream.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise InputRefused(
                    f"{path.name}, line {number} has more than {_LONGEST_LINE} characters",
                    hint="One record a line; is this really such a file?",
                )
            yield line.rstrip("\r\n")


def _text(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield f"row {number}", {"text": line.strip()}


def _json_lines(path: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "beyond reason"
            raise InputRefused(
                f"{path.name}, {where} is not JSON: {reason}",
                hint="JSONL has one JSON object a line.",
                row=number,
            ) from error
        if not isinstance(record, dict):
            raise InputRefused(
                f"{path.name}, {where} is a JSON {type(record).__name__}, not an object",
                hint='Each line is an object such as {"text": "...", "label": "..."}.',
                row=number,
            )
        yield where, record


def _table(path: Path) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST_LINE)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            for number, cells in enumerate((row for row in reader if row), start=1):
                where = f"row {number} (line {reader.line_num})"
                if len(cells) != len(header):
                    raise InputRefused(
                        f"{path.name}, {where} has {len(cells)} cells, the header {len(header)}",
                        hint="Put a cell with a comma, a quote or a line end in double quotes.",
                        row=number,
                    )
                yield where, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise InputRefused(
                f"{path.name}, line {reader.line_num} is not CSV: {error}",
                hint="Is a quote left open before this line?",
            ) from error


def _check_header(path: Path, header: list[str]) -> None:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputRefused(
            f"{path.name} has the column {sorted(twice)[0]!r} twice", hint="Rename one of them."
        )


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InputRefused(
            f"{path.name} is not a readable parquet file: {str(error).splitlines()[0][:200]}",
            hint="Write it again.",
        ) from error


def _not_utf8(path: Path) -> InputRefused:
    """Where the first wrong byte is; its place in a decoder's buffer tells nobody anything."""
    with path.open("rb") as stream:
        beginning = stream.read(2)
        stream.seek(0)
        number = 0
        for number, line in enumerate(stream, start=1):  # noqa: B007 (the last one counts)
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                break
    what = "UTF-16 text" if beginning in _UTF16 else f"not UTF-8 text (line {number})"
    source = "UTF-16" if beginning in _UTF16 else "WINDOWS-1252"
    return InputRefused(
        f"{path.name} is {what}",
        hint=f"Save it as UTF-8, for example: iconv -f {source} -t UTF-8 {path.name} > new.txt",
        line=number,
    )


_KINDS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".csv": _table,
    ".tsv": _table,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".txt": _text,
}
