"""``messages`` (a chat), ``prompt, completion``, or plain ``text``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit_converters.training import data_forms
from edgekit_converters.training.data_forms import Row, RowRefused, Said

CHAT, PROMPT, PLAIN = "messages", "prompt", "text"
NEEDS = {CHAT: ("messages",), PROMPT: ("prompt", "completion"), PLAIN: ("text",)}
TAKES: tuple[str, ...] = ()
FEATURES = {"prompt": str, "completion": str, "messages": [{"role": str, "content": str}]}
_ROLES = ("system", "user", "assistant")


def row(record: Mapping[str, Any], kind: str, said: Said) -> Row:
    """The checked row; a plain text is a completion of nothing."""
    if kind == CHAT:
        return {"prompt": None, "completion": None, "messages": _messages(record)}
    prompt = data_forms.text(record, "prompt") if kind == PROMPT else ""
    column = "completion" if kind == PROMPT else "text"
    return {"prompt": prompt, "completion": data_forms.text(record, column), "messages": []}


def _messages(record: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    for message in data_forms.listed(record, "messages"):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise RowRefused(
                f"has a message without a role of {', '.join(_ROLES)} ({data_forms.short(message)})"
            )
        found.append({"role": role, "content": data_forms.text(message, "content")})
    if not any(message["role"] == "assistant" for message in found):
        raise RowRefused("has no message of the assistant: there is nothing to learn")
    return found
