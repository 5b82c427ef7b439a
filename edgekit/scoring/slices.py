"""Parts of the data that a mean can hide: by length, by script, by a column of its own."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.columns import Row
from edgekit.scoring.metrics import Matrix, Metric, estimate

# Upper ends, in words.
_LENGTHS = (8, 16, 32, 64, 128)
_COLUMNS = ("language", "lang")
# A smaller part is shown and never named the worst: its figure is mostly chance.
LEAST_ROWS = 20
_MOST_PARTS = 30
_UNNAMED = "other"
# Written without spaces: their letters count as words, two for one.
_SPACELESS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"})
_JAPANESE = frozenset({"HIRAGANA", "KATAKANA"})


@dataclass
class Slices:
    """Which part of each kind a row belongs to, a small number a row.

    Attributes:
        columns: what rows are parted by besides length and script.
    """

    columns: tuple[str, ...] = ()
    _names: dict[str, list[str]] = field(default_factory=dict)
    _codes: dict[str, array[int]] = field(default_factory=dict)

    def add(self, row: Row, text: str) -> None:
        """Take the next row."""
        self.add_text(text, {n: str(row.values.get(n, "none"))[:40] for n in self.columns})

    def add_text(self, text: str, more: Mapping[str, str] | None = None) -> None:
        """Take the next row by its text, and by what else it is parted by."""
        parts = {"length": length_of(text), "script": script_of(text), **(more or {})}
        for by, part in parts.items():
            names = self._names.setdefault(by, [])
            if part not in names:
                part = part if len(names) < _MOST_PARTS else _UNNAMED
                if part not in names:
                    names.append(part)
            self._codes.setdefault(by, array("h")).append(names.index(part))

    def parts(self) -> list[tuple[str, str, NDArray[np.bool_]]]:
        """What, which and the rows in it; a division into one part is none."""
        found = []
        for by, names in self._names.items():
            codes = np.array(self._codes[by])
            if len(names) > 1:
                found += [(by, name, codes == at) for at, name in enumerate(names)]
        return found


def column_names(row: Row, asked: Sequence[str]) -> tuple[str, ...]:
    """Columns to part by: those asked for, and a language where the data says one.

    Raises:
        InputRefused: there is no such column.
    """
    for name in asked:
        if name not in row.values:
            raise row.wrong(name, f"a column to part by; there are: {', '.join(row.values)}")
    known = [name for name in _COLUMNS if isinstance(row.values.get(name), str)]
    return tuple(dict.fromkeys([*asked, *known]))


def measured(
    slices: Slices, metric: Metric, marks: Matrix, scored: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """A metric on every part, with its interval.

    Args:
        slices: of all rows.
        metric: which.
        marks: of all rows, ``(rows, fields)``.
        scored: the rows that count.
    """
    found = []
    for by, name, inside in slices.parts():
        chosen = inside & scored
        count = int(chosen.sum())
        if count:
            part = estimate(metric, marks[chosen])
            figures = {"value": part.value, "low": part.low, "high": part.high}
            found.append({"by": by, "name": name, "rows": count, **figures})
    return found


def worst(parts: Sequence[dict[str, Any]], better: int) -> dict[str, Any] | None:
    """The poorest part among those with enough rows; None where there are not two such."""
    known = [p for p in parts if p["value"] is not None and p["rows"] >= LEAST_ROWS]
    if len(known) < 2:
        return None
    return min(known, key=lambda part: better * part["value"])


def length_of(text: str) -> str:
    """How many words a text has, in bands."""
    letters = sum(n for letter, n in Counter(text).items() if _script(letter) in _SPACELESS)
    count = len(text.split()) + letters // 2
    least = 1
    for most in _LENGTHS:
        if count <= most:
            return f"{least}-{most} words"
        least = most + 1
    return f"{least}+ words"


def script_of(text: str) -> str:
    """The script of most letters; mixed when another has a tenth of them or more."""
    counts: Counter[str] = Counter()
    for letter, times in Counter(text).items():
        if letter.isalpha() and (name := _script(letter)):
            counts[name] += times
    if not counts:
        return "no letters"
    if counts.keys() & _JAPANESE:
        merged = sum(counts.pop(name, 0) for name in (*_JAPANESE, "CJK"))
        counts["JAPANESE"] = merged
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > 1 and ordered[1][1] * 10 >= sum(counts.values()):
        return "mixed"
    name = ordered[0][0]
    return "Han" if name == "CJK" else name.capitalize()


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of a letter's Unicode name, which is its script's."""
    return unicodedata.name(letter, "").partition(" ")[0]
