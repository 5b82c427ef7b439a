"""What rows a teacher's answers become. One format a file.

Each module gives ``INSTRUCTION`` (what the teacher is told about the form of its answer; may hold
``{labels}``), ``row(prompt, answer, options)`` and ``label(row)``, what re-asking
compares, or None. An answer that makes no row is refused by raising ``NoRow`` with the reason.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast

from edgekit.errors import SpecError
from edgekit_converters.teach.options import Options

Row = dict[str, Any]
_MARKS = " \t\r\n*_`\"'"  # of Markdown and quotation
Messages = list[dict[str, str]]


class NoRow(Exception):
    """Why an answer makes no row, in a few words that are counted in the report."""


class Format(Protocol):
    """The interface of a module in this package."""

    INSTRUCTION: str

    def row(self, prompt: str, answer: str, options: Options) -> Row: ...  # noqa: D102

    def label(self, row: Row) -> str | None: ...  # noqa: D102


def names() -> list[str]:
    """Every format's name."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(path.stem for path in files if path.stem != "__init__")


def answer_format(name: str) -> Format:
    """The module of a format.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in names():
        raise SpecError(f"unknown format {name!r}", hint=f"One of: {', '.join(names())}.")
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))


def messages(prompt: str, options: Options) -> Messages:
    """What the teacher is asked: strategy, prompt in its template, and the form of the answer."""
    form = answer_format(options.format).INSTRUCTION
    allowed = f" It is one of: {', '.join(options.labels)}." if options.labels else ""
    asked = (options.template or "{input}").replace("{input}", prompt)
    text = f"{asked}\n\n{form.replace('{labels}', allowed)}" if form else asked
    strategy = [{"role": "system", "content": options.system}] if options.system else []
    return [*strategy, {"role": "user", "content": text}]


def permitted(label: str, options: Options) -> str:
    """A label in the spelling of the list, where there is one.

    Raises:
        NoRow: it is empty, or not of the list.
    """
    said = label.strip(_MARKS)
    if said.endswith(".") and said.count(".") == 1:  # a sentence's, not an abbreviation's
        said = said[:-1].strip(_MARKS)
    if not said:
        raise NoRow("no label")
    if options.labels is None:
        return said
    for name in options.labels:
        if name.casefold() == said.casefold():
            return name
    raise NoRow("label not in the list")
