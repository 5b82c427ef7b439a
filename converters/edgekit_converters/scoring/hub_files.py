"""Data sets as files in the layouts of the hub: where a split lies, and its rows one at a time."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from edgekit.errors import InputRefused

ENDINGS = ("parquet", "jsonl", "jsonl.gz", "json", "csv", "tsv")
# Cells of a .csv hold whole documents; Python's own limit is 131072 characters.
_LONGEST_CELL = 1 << 24
_HINT = "Fetch it again from the hub."
# As `datasets` names a split's pieces, with a digest at the end in older sets.
_PIECE = r"(?:-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?)?"

Row = dict[str, Any]


def folders(data_dir: Path, dataset: str, config: str | None) -> list[Path]:
    """Where a set's files may lie, the likeliest first.

    Args:
        data_dir: holds a folder for each set, called ``org/name`` as on the hub, or ``name``.
        dataset: the set's name on the hub.
        config: the part of it that is meant; None where it has no parts.
    """
    found = []
    for root in (data_dir / dataset, data_dir / dataset.rpartition("/")[2]):
        below = [root / config, root / "data" / config] if config else []
        found += [*below, root / "data", root]
    return found


def files(places: Sequence[Path], split: str) -> tuple[Path, ...]:
    """A split's files in order, from the first place that has any; none where none has.

    They are called ``SPLIT.ENDING``, ``SPLIT-00000-of-00002.ENDING``, or lie in a folder ``SPLIT``.

    Raises:
        InputRefused: some pieces of the split are missing.
    """
    for place in places:
        for ending in ENDINGS:
            named = re.compile(f"{re.escape(split)}{_PIECE}\\.{re.escape(ending)}")
            for one in sorted(place.glob(f"{split}*.{ending}")):
                if match := named.fullmatch(one.name):
                    return (one,) if match[2] is None else _pieces(place, named, int(match[2]))
        for ending in ENDINGS:
            if inside := sorted((place / split).glob(f"*.{ending}")):
                return tuple(inside)
    return ()


def _pieces(place: Path, named: re.Pattern[str], count: int) -> tuple[Path, ...]:
    """All of a split's pieces: half a set is another set."""
    found = {}
    for one in sorted(place.iterdir()):
        match = named.fullmatch(one.name)
        if match and match[2] is not None and int(match[2]) == count:
            found[int(match[1])] = one
    if missing := sorted(set(range(count)) - found.keys()):
        first = next(iter(found.values())).name
        lacking = ", ".join(f"{piece:05d}" for piece in missing[:5])
        raise InputRefused(
            f"{place} has {first} and not all of its {count} pieces: {lacking} is missing",
            hint=_HINT,
        )
    return tuple(found[at] for at in range(count))


def rows(paths: Sequence[Path]) -> Iterator[Row]:
    """The rows of some files, one at a time.

    Raises:
        InputRefused: one is malformed or has none.
    """
    for path in paths:
        count = 0
        try:
            for row in _rows(path):
                if not isinstance(row, dict):
                    raise ValueError("a row is no object")
                count += 1
                yield row
        except (ValueError, OSError, EOFError, csv.Error) as error:
            said = str(error)[:200]
            raise InputRefused(f"{path} cannot be read: {said}", hint=_HINT) from error
        if not count:
            raise InputRefused(f"{path} has no rows", hint=_HINT)


def _rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()
        return
    with _opened(path) as stream:
        if path.suffix in (".csv", ".tsv"):
            csv.field_size_limit(_LONGEST_CELL)
            delimiter = "\t" if path.suffix == ".tsv" else ","
            yield from csv.DictReader(stream, delimiter=delimiter, strict=True)
        elif path.suffix == ".json" and stream.read(1) == "[":
            stream.seek(0)
            yield from json.load(stream)
        else:
            stream.seek(0)
            yield from (json.loads(line) for line in stream if line.strip())


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8-sig"))
    return path.open(encoding="utf-8-sig", newline="")
