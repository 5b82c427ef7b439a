"""``input, rationale, label``: an answer and the reasoning before it (2305.02301)."""

from __future__ import annotations

import re

from edgekit_converters.teach.formats import NoRow, Row, permitted
from edgekit_converters.teach.options import Options

INSTRUCTION = (
    'First write "Reasoning:" and how you get to the answer, in a few short sentences. '
    'Then write "Answer:" and the answer alone, on a line of its own.{labels}'
)
_PARTS = re.compile(
    r"\W*reasoning\W*?:\W*?\s*(?P<rationale>.+)\n\W*answer\W*?:(?P<label>[^\n]*)\s*",
    re.IGNORECASE | re.DOTALL,
)


def row(prompt: str, answer: str, options: Options) -> Row:
    """The row; the strategy that the teacher was told is no part of it."""
    found = _PARTS.fullmatch(answer.strip())
    if found is None:
        raise NoRow("not in the form that was asked for")
    rationale = found["rationale"].strip().strip("*").strip()
    if not rationale:
        raise NoRow("no reasoning")
    return {"input": prompt, "rationale": rationale, "label": permitted(found["label"], options)}


def label(row: Row) -> str | None:
    """The answer."""
    return str(row["label"])
