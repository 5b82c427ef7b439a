"""Run texts through a bundle and show the answers, or talk to it."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("bundle", type=click.Path())
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("--file", "file", metavar="FILE", type=click.Path(), help="Texts, one a line.")
@click.option(
    "--runtime",
    metavar="NAME",
    shell_complete=options.completes(options.runtimes),
    help="Which artifact; the first that is installed here unless given.",
)
@click.option(
    "--top-k",
    metavar="N",
    type=click.IntRange(min=0),
    help="Candidates for a mask or a question, labels to show for a text: 5 unless given. "
    "For generated text: choose among the K likeliest tokens, 0 for all.",
)
@click.option(
    "--context",
    metavar="FILE|TEXT",
    help="The passage that a question is about, or the second text of a pair; a file or a text.",
)
@click.option(
    "--labels",
    metavar="A,B,...",
    help="Zero-shot classification: what a text may be about.",
)
@click.option(
    "--choices",
    metavar="A,B,...",
    help="Multiple choice: what may follow a text; a JSON list where a choice has a comma.",
)
@click.option(
    "--template",
    metavar="TEXT",
    help="Zero-shot classification: the sentence that a label goes into, at {}.",
)
@click.option(
    "--multi-label", is_flag=True, help="Zero-shot classification: several labels can be true."
)
@click.option(
    "--aggregation",
    type=click.Choice(["first", "simple"]),
    help="Entities: a word has the label of its first token, or each token its own.",
)
@options.generation_options
@options.verb_options
@click.pass_obj
def command(
    output: Output,
    /,
    bundle: str,
    texts: tuple[str, ...],
    file: str | None,
    runtime: str | None,
    chat: bool,
    **request: Any,
) -> None:
    """Run texts through a bundle and show the answers, or talk to it.

    Texts are words of the command line, lines of --file, or lines of standard input (a TEXT of -,
    or a pipe). Blank lines are skipped. Put -- before a TEXT that begins with a dash.

    A question needs --context, zero-shot classification --labels, multiple choice --choices.

    A bundle that generates text answers each TEXT as a message, or continues it where the model
    knows no conversation; --chat keeps a conversation going.
    """
    from edgekit import api
    from edgekit.cli import asking
    from edgekit.cli import texts as sources

    if chat:
        asking.refuse_texts(texts, file)
        with api.Bundle.open(bundle) as opened:
            asking.chat(output, opened, runtime, request)
        return
    with sources.choose(texts, file) as source, api.Bundle.open(bundle) as opened:
        asking.answers(output, opened, source, runtime, request)
