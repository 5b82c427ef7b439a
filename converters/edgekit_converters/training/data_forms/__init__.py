"""What a row of training data must hold. One form a file, named after the task that it serves.

Each module gives:

- ``NEEDS``: kind of data -> the columns that make it; the first kind whose columns are there is
  taken, unless the user's own choice of kind says otherwise.
- ``TAKES``: further columns that may be there.
- ``FEATURES``: the columns of a checked row, ``str``, ``float`` or a list of one of them, or of
  objects of strings.
- ``row(record, kind, said)``: the checked row.
- ``kind(record, kind, said)`` where the values, not only the columns, tell the kind.

A row is refused by raising ``RowRefused`` with what is wrong with it; ``data.read`` adds where.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from edgekit.errors import SpecError

Row = dict[str, Any]
_LONGEST_TEXT = 4 * 1024 * 1024


class RowRefused(Exception):
    """What is wrong with a row, in words that follow its place."""


@dataclass(frozen=True)
class Said:
    """What is known before the first row is read.

    Attributes:
        kind: the kind that the user asks for; None to look at the data.
        labels: the only labels that may occur; None for any.
    """

    kind: str | None = None
    labels: tuple[str, ...] | None = None


class Form(Protocol):
    """The interface of a module in this package."""

    NEEDS: Mapping[str, tuple[str, ...]]
    TAKES: tuple[str, ...]
    FEATURES: Mapping[str, Any]

    def row(self, record: Mapping[str, Any], kind: str, said: Said) -> Row: ...  # noqa: D102


def names() -> list[str]:
    """Every form's name, as tasks are written."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(path.stem.replace("_", "-") for path in files if path.stem != "__init__")


def form(name: str) -> Form:
    """The module of a form.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in names():
        raise SpecError(f"no data is known for {name!r}", hint=f"Tasks: {', '.join(names())}.")
    return cast(Form, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def text(record: Mapping[str, Any], column: str) -> str:
    """A column that holds text.

    Raises:
        RowRefused: it is missing, empty, of another type, or no Unicode text.
    """
    value = record.get(column)
    if value is None:
        raise RowRefused(f"has no {column}")
    if not isinstance(value, str):
        raise RowRefused(f"has a {column} that is {type_name(value)} ({short(value)}), not text")
    return checked(value, column)


def checked(value: str, column: str) -> str:
    """A text that is neither blank nor broken nor beyond reason.

    Raises:
        RowRefused: it is.
    """
    if not value.strip():
        raise RowRefused(f"has an empty {column}")
    if len(value) > _LONGEST_TEXT:
        raise RowRefused(f"has a {column} of {len(value)} characters, {_LONGEST_TEXT} are the most")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowRefused(f"has half a surrogate pair in its {column}") from None
    return value


def optional_text(record: Mapping[str, Any], column: str) -> str | None:
    """As ``text``; None where the column is missing or empty."""
    return text(record, column) if record.get(column) not in (None, "") else None


def number(record: Mapping[str, Any], column: str) -> float:
    """A column that holds a finite number, as a number or, in CSV, as text.

    Raises:
        RowRefused: it does not.
    """
    value = record.get(column)
    if value is None or value == "":
        raise RowRefused(f"has no {column}")
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if abs(found) < float("inf"):
        return found
    raise RowRefused(f"has a {column} that is no finite number ({short(value)})")


def listed(record: Mapping[str, Any], column: str) -> list[Any]:
    """A column that holds a list; in CSV a JSON list in a cell.

    Raises:
        RowRefused: it does not, or the list is empty.
    """
    value = unpacked(record.get(column))
    if value is None:
        raise RowRefused(f"has no {column}")
    if not isinstance(value, list):
        raise RowRefused(f"has {column} that are {type_name(value)} ({short(value)}), not a list")
    if not value:
        raise RowRefused(f"has an empty list of {column}")
    return value


def unpacked(value: Any) -> Any:
    """What a CSV cell with JSON in it means; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def known(label: str, said: Said) -> str:
    """A label that may occur.

    Raises:
        RowRefused: it may not.
    """
    if said.labels is not None and label not in said.labels:
        listing: Sequence[str] = said.labels[:8]
        more = ", ..." if len(said.labels) > 8 else ""
        raise RowRefused(
            f"has the label {short(label)}, which is not of: {', '.join(listing)}{more}"
        )
    return label


def type_name(value: Any) -> str:
    """A value's type in words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    names = {dict: "an object", list: "a list", str: "text", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def short(value: Any) -> str:
    """A value as it would be typed, cut to a few words."""
    shown = ascii(value) if not isinstance(value, str) else repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
