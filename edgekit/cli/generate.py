"""Shows a decoder's answers while they come, and what each cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import Output

if TYPE_CHECKING:
    from edgekit.api.opened import Bundle, Statistics
    from edgekit.cli.texts import Texts

# Options of one kind of bundle, by the name of their field.
GENERATION = (
    *("max_tokens", "temperature", "top_p", "repetition_penalty", "seed", "stop"),
    *("beams", "system", "raw"),
)
_ENDS = {
    "length": "--max-tokens reached",
    "context": "the context is full",
    "cancelled": "stopped",
    "stop": "a stop text",
}


def wanted(bundle: Bundle, chat: bool, given: dict[str, Any]) -> dict[str, Any]:
    """The options of generation that were given.

    Raises:
        click.UsageError: the bundle's task has no use for one.
    """
    asked = ((name, given.get(name)) for name in GENERATION)
    # 0 is a value; an option that was not given is None, a flag False, a list empty.
    found = {
        name: value
        for name, value in asked
        if value is not None and value is not False and value != ()
    }
    if bundle.generates:
        return found
    if chat or found:
        first = "chat" if chat else next(iter(found))
        raise click.UsageError(
            f"--{first.replace('_', '-')} is for bundles that generate text; "
            f"this one is for {bundle.manifest.task}"
        )
    return found


def show(output: Output, bundle: Bundle, source: Texts, options: dict[str, Any]) -> None:
    """Answer every prompt, piece by piece; with ``--json`` one record each.

    Args:
        output: where to.
        bundle: what answers.
        source: the texts.
        options: what ``Bundle.generate`` takes.
    """
    if output.as_json:
        head = {"bundle": str(bundle.path), "task": bundle.manifest.task}
        records = bundle.answers(source, **options)
        output.begin_list({**head, "runtime": bundle.loaded[0]}, "answers")
        for record in source.located(records):
            output.add(record)
        output.end_list({})
        return
    replies = source.located(bundle.generate(prompt, **options) for prompt in source)
    for number, reply in enumerate(replies):
        if number:
            output.text()
        for piece in reply:
            output.piece(piece)
        output.text()
        output.say(summary(reply.statistics))


def summary(statistics: Statistics) -> str:
    """How an answer went, on one line."""
    words = [f"{statistics.answer_tokens} tokens"]
    words.append(f"first after {statistics.first_token_seconds * 1000:.0f} ms")
    if statistics.tokens_per_second:
        words.append(f"{statistics.tokens_per_second:.1f} tokens/s")
    if statistics.ended_by in _ENDS:
        words.append(_ENDS[statistics.ended_by])
    return f"[{', '.join(words)}]"
