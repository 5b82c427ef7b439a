"""``text, label``: the teacher sorts texts into classes."""

from __future__ import annotations

from edgekit_converters.teach.formats import Row, permitted
from edgekit_converters.teach.options import Options

INSTRUCTION = "Answer with the label alone.{labels}"


def row(prompt: str, answer: str, options: Options) -> Row:
    """The row."""
    return {"text": prompt, "label": permitted(answer, options)}


def label(row: Row) -> str | None:
    """The class."""
    return str(row["label"])
