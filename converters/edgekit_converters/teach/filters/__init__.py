"""Which rows are not worth training on. One reason a file.

Each module gives ``ORDER`` (cheap and certain reasons come first) and ``dropped(rows, options)``:
the index of each row that goes, with the reason in words.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from edgekit_converters.teach.options import Options

Row = Mapping[str, Any]
_OUTPUTS = ("completion", "rationale", "target", "text")


class Filter(Protocol):
    """The interface of a module in this package."""

    ORDER: int

    def dropped(  # noqa: D102
        self, rows: Sequence[Row], options: Options
    ) -> dict[int, str]: ...


@dataclass(frozen=True)
class Dropped:
    """A row that was dropped.

    Attributes:
        row: its number among the rows that came in, from 1.
        by: the filter's name.
        why: in words.
    """

    row: int
    by: str
    why: str


def names() -> list[str]:
    """Every filter's name, in the order in which they run."""
    files = Path(__file__).parent.glob("*.py")
    found = [path.stem for path in files if path.stem != "__init__"]
    return sorted(found, key=lambda name: (_filter(name).ORDER, name))


def clean(rows: Sequence[Row], options: Options) -> tuple[list[Row], list[Dropped]]:
    """Run every filter over what the ones before it left.

    Returns:
        The rows that stay, in their order, and those that went with the reason.
    """
    left = list(enumerate(rows))
    gone: list[Dropped] = []
    for name in names():
        found = _filter(name).dropped([row for _, row in left], options)
        gone += [Dropped(left[index][0] + 1, name, why) for index, why in sorted(found.items())]
        left = [pair for index, pair in enumerate(left) if index not in found]
    return [row for _, row in left], sorted(gone, key=lambda one: one.row)


def counts(gone: Sequence[Dropped]) -> dict[str, int]:
    """Dropped rows by filter."""
    return dict(Counter(one.by for one in gone))


def whole_text(row: Row) -> str:
    """All that a row says, in the order of its columns."""
    return "\n".join(_texts(row.values()))


def output_text(row: Row) -> str:
    """What a row teaches: the answer, the reasoning, or, where there is none, its text."""
    if isinstance(row.get("messages"), list):
        answers = [turn for turn in row["messages"] if isinstance(turn, dict)]
        told = [turn.get("content") for turn in answers if turn.get("role") == "assistant"]
        return "\n".join(text for text in told if isinstance(text, str))
    for name in _OUTPUTS:
        if isinstance(row.get(name), str):
            return str(row[name])
    return whole_text(row)


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation; characters where a script has no spaces."""
    import regex

    return [str(word) for word in _compiled(regex).findall(text.casefold())]


def _compiled(regex: Any) -> Any:
    return regex.compile(r"\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Thai}|[\p{L}\p{N}\p{M}]+")


def _texts(values: Any) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            found += _texts(value.values())
        elif isinstance(value, list):
            found += _texts(value)
    return found


def _filter(name: str) -> Filter:
    return cast(Filter, importlib.import_module(f"{__name__}.{name}"))
