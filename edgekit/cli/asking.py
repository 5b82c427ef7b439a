"""``edgekit run``: from options to a query, a prompt or a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import answers as shown
from edgekit.cli import generate, queries
from edgekit.cli.output import Output

if TYPE_CHECKING:
    from edgekit.api import Bundle
    from edgekit.cli.texts import Texts

_LABELS_SHOWN = 5


def answers(
    output: Output,
    bundle: Bundle,
    source: Texts,
    runtime: str | None,
    given: dict[str, Any],
) -> None:
    """Answer every text.

    Args:
        output: where to.
        bundle: what answers.
        source: the texts, open.
        runtime: which artifact; None for the first that is installed.
        given: the other options by name.
    """
    wanted = queries.wanted(
        context=queries.passage(given["context"]),
        labels=queries.listed("labels", given["labels"]),
        choices=queries.listed("choices", given["choices"]),
        template=given["template"],
        multi_label=given["multi_label"],
        aggregation=given["aggregation"],
    )
    generation = generate.wanted(bundle, False, given)
    top_k = given["top_k"]
    with output.libraries_quiet():
        if bundle.generates:
            _refuse(wanted, bundle)
            options = {**generation, "runtime": runtime, "top_k": top_k}
            generate.show(output, bundle, source, options)
        else:
            replies = bundle.answers(source, runtime=runtime, top_k=top_k, **wanted)
            count = _LABELS_SHOWN if top_k is None else top_k
            shown.show(output, bundle, source.located(replies), count)
    if source.blank:
        output.say(f"blank lines skipped: {source.blank}")


def refuse_texts(words: tuple[str, ...], file: str | None) -> None:
    """A conversation is typed.

    Raises:
        click.UsageError: texts were given.
    """
    if words or file is not None:
        raise click.UsageError("--chat reads what you type: give no TEXT and no --file")


def chat(output: Output, bundle: Bundle, runtime: str | None, given: dict[str, Any]) -> None:
    """Talk; arguments as of ``answers``."""
    from edgekit.cli.chat import talk

    options = {**generate.wanted(bundle, True, given), "top_k": given["top_k"]}
    talk(output, bundle, runtime, options)


def _refuse(wanted: dict[str, Any], bundle: Bundle) -> None:
    if wanted:
        raise click.UsageError(
            f"--{next(iter(wanted)).replace('_', '-')} is not for a bundle that generates text "
            f"({bundle.manifest.task})"
        )
