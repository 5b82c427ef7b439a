"""Texts that queries search in: read once, embedded in order onto the disk, ranked from there.

Of a text stay its id's digest, eight bytes, and its place; a query adds a score for each text. All
else is read in blocks.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edgekit import columns
from edgekit.bundle.disk import as_write_errors
from edgekit.columns import Row
from edgekit.errors import InputRefused

_COLUMNS = "A corpus has the columns id and text, perhaps title: a text each row, every id once."
_BLOCK = 8192

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """A file of texts, and where their vectors lie once a contestant has made them.

    Attributes:
        path: the file.
        count: of its texts.
        digest: of the file.
        vectors: unit vectors in the order of the file, after a line that says how long they are.
    """

    path: Path
    count: int
    digest: str
    vectors: Path | None = None
    _keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64), repr=False)
    _places: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), repr=False)

    def place(self, identity: str) -> int | None:
        """Where the text of an id stands, from 0; None where there is none."""
        key = np.uint64(_key(identity))
        at = int(np.searchsorted(self._keys, key))
        found = at < len(self._keys) and self._keys[at] == key
        return int(self._places[at]) if found else None

    def ranks(
        self, query: Vector, places: Sequence[int], excluded: Sequence[int] = ()
    ) -> list[int]:
        """The rank of some texts among all by cosine, from 1; equal ones rank against the model.

        Args:
            query: any length, ``(size,)``.
            places: of the texts that answer it.
            excluded: places of other texts, that are passed over.
        """
        scores = self._scores(query)
        # Not even a text that could not be read, which has -inf, ranks behind these.
        scores[list(excluded)] = np.nan
        right = scores[list(places)]
        found = []
        for at, score in enumerate(right):
            wrong = int((scores >= score).sum()) - int((right >= score).sum())
            before = int((right > score).sum()) + int((right[:at] == score).sum())
            found.append(1 + wrong + before)
        return found

    def unread(self) -> int:
        """How many texts have no vector, because the model cannot read them."""
        return sum(int(np.isnan(rows[:, 0]).sum()) for rows in self._blocks())

    def _scores(self, query: Vector) -> Vector:
        found, at = np.empty(self.count, np.float32), 0
        for rows in self._blocks():
            found[at : at + len(rows)] = rows @ query
            at += len(rows)
        # A text that could not be read is found by nobody.
        return np.nan_to_num(found, copy=False, nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    def _blocks(self) -> Iterator[Vector]:
        """The vectors in order, ``(some, size)`` at a time."""
        assert self.vectors is not None
        with self.vectors.open("rb") as file:
            size = int(json.loads(file.readline())["size"])
            while len(block := np.fromfile(file, np.float32, _BLOCK * size)):
                yield block.reshape(-1, size)


def read(path: Path) -> Corpus:
    """Read a corpus once to its end.

    Args:
        path: ``.jsonl``, ``.csv`` or ``.tsv`` with ``id`` (or ``_id``), ``text``, perhaps
            ``title``.

    Raises:
        SpecError, InputMissing, InputRefused: see ``columns.read``; an id that comes twice is
            named.
    """
    keys = array("Q")
    for row in columns.read(path):
        keys.append(_key(identity_of(row)))
        text_of(row)
    if not keys:
        raise InputRefused(f"{path.name} has no texts", hint=_COLUMNS)
    unsorted = np.frombuffer(keys, np.uint64)
    places = np.argsort(unsorted, kind="stable")
    found = Corpus(
        path,
        len(keys),
        columns.fingerprint(path, None),
        _keys=unsorted[places],
        _places=places,
    )
    _refuse_twice(found)
    return found


def identity_of(row: Row) -> str:
    """A text's id.

    Raises:
        InputRefused: it has none.
    """
    name = "_id" if "id" not in row.values and "_id" in row.values else "id"
    value = row.values.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else row.text(name)


def text_of(row: Row) -> str:
    """A text, its title before it.

    Raises:
        InputRefused: it is empty.
    """
    text, title = row.text("text"), row.values.get("title")
    return f"{title} {text}" if isinstance(title, str) and title.strip() else text


class Vectors:
    """Vectors on the disk, in the order of a corpus; what an earlier run made is kept.

    Attributes:
        done: texts whose vector is there, or that are known to have none.
    """

    def __init__(self, corpus: Corpus, path: Path, key: str) -> None:
        """Open for more; a file with another key, or none, begins anew.

        Raises:
            CannotWrite, StorageFull: the file cannot be written.
        """
        self._corpus, self._path, self._key = corpus, path, key
        self._size: int | None = None
        self._blank = 0
        with as_write_errors(path):
            self.done = self._resumed()
            self._file: IO[bytes] = path.open("ab")

    def add(self, vector: Sequence[float] | None) -> None:
        """The next text's vector; None where the model cannot read it.

        Raises:
            CannotWrite, StorageFull: it cannot be written.
        """
        self.done += 1
        if vector is None and self._size is None:
            self._blank += 1  # how long a vector is shows with the first
            return
        with as_write_errors(self._path):
            if self._size is None:
                assert vector is not None
                self._size = len(vector)
                head = {"key": self._key, "size": self._size}
                self._file.write(json.dumps(head).encode() + b"\n")
                self._file.write(_blank(self._size) * self._blank)
            made = _blank(self._size) if vector is None else _unit(vector).tobytes()
            self._file.write(made)

    def close(self) -> None:
        """Write what is buffered."""
        with as_write_errors(self._path):
            self._file.close()

    def rest(self) -> Iterator[Row]:
        """The rows of the corpus that have none yet."""
        return islice(columns.read(self._corpus.path), self.done, None)

    def searchable(self) -> Corpus:
        """The corpus with these vectors, all of them there.

        Raises:
            InputRefused: no text has one.
        """
        if self._size is None:
            raise InputRefused(
                f"no text of {self._corpus.path.name} can be read by the model",
                hint="Split the texts, or export with a larger --max-length.",
            )
        return replace(self._corpus, vectors=self._path)

    def _resumed(self) -> int:
        if not self._path.is_file():
            return 0
        with self._path.open("rb+") as file:
            try:
                head = json.loads(file.readline(_BLOCK))
                size = int(head["size"]) if head["key"] == self._key else 0
            except (ValueError, KeyError, TypeError):
                size = 0
            if size < 1:
                file.truncate(0)
                return 0
            begin = file.tell()
            done = min((self._path.stat().st_size - begin) // (4 * size), self._corpus.count)
            file.truncate(begin + 4 * size * done)
        self._size = size
        return int(done)


def _blank(size: int) -> bytes:
    return np.full(size, np.nan, np.float32).tobytes()


def _unit(vector: Sequence[float]) -> Vector:
    found = np.asarray(vector, dtype=np.float64)
    length = float(np.sqrt(found @ found))
    return (found / length if length else found).astype(np.float32)


def _key(identity: str) -> int:
    """Eight bytes of a digest; ``_refuse_twice`` tells equal ids from equal digests."""
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _refuse_twice(corpus: Corpus) -> None:
    """Refuse an id that comes twice."""
    keys = corpus._keys
    equal = set(keys[1:][keys[1:] == keys[:-1]].tolist())
    if not equal:
        return
    seen: dict[str, int] = {}
    for row in columns.read(corpus.path):
        identity = identity_of(row)
        if _key(identity) not in equal:
            continue
        if identity in seen:
            raise InputRefused(
                f"{row.file}, row {row.number} (line {row.line}): the id {identity[:60]!r} is that "
                f"of row {seen[identity]} as well",
                hint=_COLUMNS,
            )
        seen[identity] = row.number
