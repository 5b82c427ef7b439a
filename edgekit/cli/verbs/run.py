"""Run texts through a bundle and show the answers."""

from __future__ import annotations

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
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Candidates to show for a mask, labels to show for a text.",
)
@options.verb_options
@click.pass_obj
def command(
    output: Output,
    bundle: str,
    texts: tuple[str, ...],
    file: str | None,
    runtime: str | None,
    top_k: int,
) -> None:
    """Run texts through a bundle and show the answers.

    Texts are words of the command line, lines of --file, or lines of standard input (a TEXT of -,
    or a pipe). Blank lines are skipped. Put -- before a TEXT that begins with a dash.
    """
    from edgekit import api
    from edgekit.cli import answers
    from edgekit.cli import texts as sources

    source = sources.choose(texts, file)
    with output.libraries_quiet(), api.Bundle.open(bundle) as opened, source:
        replies = opened.answers(source, runtime=runtime, top_k=top_k)
        answers.show(output, opened, source.located(replies), top_k)
    if source.blank:
        output.say(f"blank lines skipped: {source.blank}")
