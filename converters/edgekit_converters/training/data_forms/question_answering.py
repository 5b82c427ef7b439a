"""``question, context, answers``: answers as SQuAD writes them, or as text that the context holds.

An empty list of answers says that the context has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, RowRefused, Said

NEEDS = {"answers": ("question", "context", "answers"), "answer": ("question", "context", "answer")}
TAKES: tuple[str, ...] = ()
FEATURES = {"question": str, "context": str, "answers": [str], "starts": [int]}


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row."""
    context = data_forms.text(record, "context")
    texts, starts = _answers(data_forms.unpacked(record.get(kind)), context)
    return {
        "question": data_forms.text(record, "question"),
        "context": context,
        "answers": texts,
        "starts": starts,
    }


def _answers(value: Any, context: str) -> tuple[list[str], list[int]]:
    if value is None or value == "":
        return [], []
    if isinstance(value, dict):
        return _squad(value, context)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        what = data_forms.type_name(value)
        raise RowRefused(f"has answers that are {what} ({data_forms.short(value)})")
    starts = []
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise RowRefused(f"has an answer that is no text ({data_forms.short(text)})")
        if text not in context:
            raise RowRefused(f"has the answer {data_forms.short(text)}, not found in its context")
        starts.append(context.index(text))
    return texts, starts


def _squad(value: dict[str, Any], context: str) -> tuple[list[str], list[int]]:
    texts, starts = value.get("text"), value.get("answer_start")
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise RowRefused('has answers without the lists "text" and "answer_start" of equal length')
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not isinstance(start, int):
            raise RowRefused("has an answer that is not a text and where it starts")
        if start < 0 or not text.strip() or context[start : start + len(text)] != text:
            raise RowRefused(
                f"has the answer {data_forms.short(text)}, which is not at character {start} of "
                "its context"
            )
    return texts, starts
