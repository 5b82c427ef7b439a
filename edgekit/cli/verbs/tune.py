"""Fine-tune a model on your own rows: an ordinary folder again, ready for export."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


def _tasks() -> list[str]:
    from edgekit.api.tune import tasks

    return ["auto", *tasks()]


def _columns(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, str] | None:
    pairs = [pair.partition("=") for pair in value]
    if not all(ours and theirs for ours, _, theirs in pairs):
        raise click.BadParameter("write it as OURS=THEIRS, such as text=body", ctx, param)
    return {ours: theirs for ours, _, theirs in pairs} or None


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="The new folder; named after the model unless given.",
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    multiple=True,
    required=True,
    help="Rows to learn from: .csv, .tsv, .jsonl, .parquet or .txt; may be given several times.",
)
@click.option(
    "--validation",
    metavar="FILE",
    type=click.Path(),
    help="Rows to measure on; a tenth of the data is held out unless given.",
)
@click.option(
    "--task",
    metavar="NAME",
    default="auto",
    shell_complete=options.completes(_tasks),
    help="What to learn; auto sees it from the columns.",
)
@click.option(
    "--column",
    "columns",
    metavar="OURS=THEIRS",
    multiple=True,
    callback=_columns,
    help="A column that has another name in your file, such as text=body.",
)
@click.option(
    "--kind",
    metavar="NAME",
    help="Kind of rows where their values do not tell, such as regression for whole numbers.",
)
@click.option(
    "--labels",
    metavar="A,B,C",
    type=options.CommaList(list),
    help="The only labels that may occur, in the order of a new head's outputs.",
)
@click.option("--epochs", metavar="N", type=float, help="Passes over the data.  [default: 3]")
@click.option("--steps", metavar="N", type=click.IntRange(min=1), help="Updates, not epochs.")
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=1), default=16, help="Rows of one update."
)
@click.option(
    "--accumulate",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Parts that a batch is computed in, to need less memory.",
)
@click.option(
    "--learning-rate",
    metavar="RATE",
    type=float,
    help="The largest one.  [default: 5e-5, with LoRA 5e-4]",
)
@click.option(
    "--lora",
    metavar="RANK",
    type=int,
    is_flag=False,
    flag_value=16,
    help="Train adapters of this rank (16 unless given) and merge them: less memory.",
)
@click.option(
    "--max-length",
    metavar="N",
    type=click.IntRange(min=1),
    help="Longest input in tokens; the model's own limit, 512 at most, unless given.",
)
@click.option(
    "--held-out",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    help="Share of the rows to measure on.",
)
@click.option(
    "--patience",
    metavar="N",
    type=click.IntRange(min=0),
    default=3,
    help="Looks without improvement after which training stops; 0 for never.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Of everything that is drawn.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a hub model.")
@click.option("--force", is_flag=True, help="Replace an existing tuned folder.")
@options.verb_options
@click.pass_obj
def command(output: Output, /, model: str, **request: Any) -> None:
    """Fine-tune a model on your own rows: an ordinary folder again, ready for export.

    MODEL is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    Columns by task: text,label; tokens,labels; question,context,answers; text_a,text_b[,score] or
    anchor,positive[,negative]; messages, prompt,completion or text; source,target.
    A run that was killed goes on where it was when the same command is given again.
    """
    from edgekit.api.tune import tune
    from edgekit.cli import tune_view

    with output.progress() as progress:
        made = tune(model, progress=progress, **request)
    if output.as_json:
        output.document(tune_view.record(made))
    else:
        tune_view.summary(output, made)
