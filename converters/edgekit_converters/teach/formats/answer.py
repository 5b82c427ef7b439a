"""``prompt, completion``; or ``messages`` where a strategy was told and is to be learned too."""

from __future__ import annotations

from edgekit_converters.teach.formats import NoRow, Row
from edgekit_converters.teach.options import Options

INSTRUCTION = ""


def row(prompt: str, answer: str, options: Options) -> Row:
    """The row. With prompt erasure (Orca 2, 2311.11045) the strategy stays out of it."""
    if not answer.strip():
        raise NoRow("empty answer")
    if options.system and not options.erase_system:
        turns = (("system", options.system), ("user", prompt), ("assistant", answer.strip()))
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    return {"prompt": prompt, "completion": answer.strip()}


def label(row: Row) -> str | None:
    """Free text has none."""
    return None
