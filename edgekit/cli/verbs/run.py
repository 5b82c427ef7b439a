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
    help="Candidates for a mask or a question, labels to show for a text.",
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
@options.verb_options
@click.pass_obj
def command(
    output: Output,
    bundle: str,
    texts: tuple[str, ...],
    file: str | None,
    runtime: str | None,
    top_k: int,
    context: str | None,
    labels: str | None,
    choices: str | None,
    template: str | None,
    multi_label: bool,
    aggregation: str | None,
) -> None:
    """Run texts through a bundle and show the answers.

    Texts are words of the command line, lines of --file, or lines of standard input (a TEXT of -,
    or a pipe). Blank lines are skipped. Put -- before a TEXT that begins with a dash.

    A question needs --context, zero-shot classification --labels, multiple choice --choices.
    """
    from edgekit import api
    from edgekit.cli import answers, queries
    from edgekit.cli import texts as sources

    wanted = queries.wanted(
        context=queries.passage(context),
        labels=queries.listed("labels", labels),
        choices=queries.listed("choices", choices),
        template=template,
        multi_label=multi_label,
        aggregation=aggregation,
    )
    source = sources.choose(texts, file)
    with output.libraries_quiet(), api.Bundle.open(bundle) as opened, source:
        replies = opened.answers(source, runtime=runtime, top_k=top_k, **wanted)
        answers.show(output, opened, source.located(replies), top_k)
    if source.blank:
        output.say(f"blank lines skipped: {source.blank}")
