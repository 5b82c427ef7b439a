"""A chat as the text that its model was trained on, by the model's own Jinja template.

Templates come with models and are not trusted: they run in Jinja's immutable sandbox, with what
transformers gives to them and nothing else, and their text is bounded. No transformers is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from edgekit.errors import InputRefused, TextRefused

LONGEST_TEMPLATE = 1 << 18
_LONGEST_TEXT = 1 << 22

# What an expression in a template can come to.
_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

Message = Mapping[str, str]


def render(
    template: str,
    messages: Sequence[Message],
    special_tokens: Mapping[str, str],
    *,
    answer: bool = True,
) -> str:
    """Messages as one text, special tokens included.

    Args:
        template: Jinja, as in a model's ``chat_template``.
        messages: each with ``role`` (``system``, ``user``, ``assistant``) and ``content``.
        special_tokens: texts by name, such as ``bos_token``.
        answer: whether the text ends where the model's answer begins.

    Raises:
        TextRefused: the template refuses these messages, in its own words.
        InputRefused: the template is not valid, too large, or does what no template may.
        ImportError: Jinja is not installed.
    """
    from jinja2 import TemplateError

    if len(template) > LONGEST_TEMPLATE:
        raise _refused(f"it has {len(template)} characters, {LONGEST_TEMPLATE} are the most")
    values: dict[str, Any] = {**special_tokens, "messages": [dict(message) for message in messages]}
    values |= {"add_generation_prompt": answer, "tools": None, "documents": None}
    pieces, length = [], 0
    try:
        for piece in _compiled(template).generate(**values):
            pieces.append(piece)
            length += len(piece)
            if length > _LONGEST_TEXT:
                raise _refused(f"it makes more than {_LONGEST_TEXT} characters of a chat")
    except _Said as said:
        raise TextRefused(
            f"the chat template refuses this conversation: {said}",
            hint="Some models know no system message, or want user and assistant in turn.",
        ) from None
    except (TemplateError, *_FAULTS) as error:
        raise _refused(f"{type(error).__name__}: {str(error)[:200]}") from error
    return "".join(pieces)


class _Said(Exception):
    """The template itself refuses, through ``raise_exception``."""


def _compiled(template: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _generation_tag()],
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


def _generation_tag() -> type[Any]:
    """``{% generation %}``: marks the assistant's words for training; means nothing here."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        """Renders what it holds."""

        tags = {"generation"}  # noqa: RUF012  as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    return Generation


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own escapes characters for HTML, which would change the prompt."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> None:
    raise _Said(str(message)[:200])


def _refused(reason: str) -> InputRefused:
    return InputRefused(
        f"the model's chat template cannot be used: {reason}",
        hint="Use a plain prompt with --raw, or fetch the model's tokenizer files again.",
    )
