"""Make a small model of a large one, and show what the teacher was good for."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("teacher")
@click.option(
    "--data",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="What to learn from: .txt with a text a line; .csv, .tsv, .jsonl or .parquet with a "
    "column text (and label, for a classifier). Can be given again.",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="The new folder; named after the teacher unless given.",
)
@click.option(
    "--layers",
    metavar="K",
    help="Begin with K of the teacher's layers, the best ones found without training; or with "
    "these: 0,3,5.",
)
@click.option(
    "--student", metavar="FOLDER", help="Begin with this model instead; it is not changed."
)
@click.option(
    "--config",
    metavar="FILE.json",
    type=click.Path(),
    help='Begin with other sizes, such as {"num_hidden_layers": 3, "intermediate_size": 768}: cut '
    "out of the teacher by importance where that is possible.",
)
@click.option(
    "--loss",
    metavar="NAMES",
    help="What is compared, with weights: relations,similarity=0.5. See docs/distillation.md.",
)
@click.option("--steps", metavar="N", type=int, help="Updates of the weights.  [default: 500]")
@click.option("--batch", metavar="N", type=int, help="Texts of one update.  [default: 32]")
@click.option(
    "--accumulate",
    metavar="N",
    type=int,
    help="Parts that a batch is computed in; more need less memory.  [default: 1]",
)
@click.option(
    "--learning-rate", metavar="RATE", type=float, help="The largest one.  [default: 0.0002]"
)
@click.option(
    "--patience",
    metavar="N",
    type=int,
    help="Stop after N looks at the held-out rows without a better loss.  [default: never]",
)
@click.option(
    "--recipe",
    metavar="FILE.toml",
    type=click.Path(),
    help="These options in a file, and settings of single losses. The command line wins.",
)
@click.option(
    "--controls/--no-controls",
    default=None,
    help="Train controls of equal steps too: labels only, random start.  [default: controls]",
)
@click.option(
    "--repair/--no-repair",
    default=None,
    help="Refit the layers that stay before training, where that helps.  [default: repair]",
)
@click.option("--seed", metavar="N", type=int, help="Of everything random.  [default: 0]")
@click.option(
    "--bridge-tokenizer",
    is_flag=True,
    help="Allow a student that cuts texts into other tokens: whole texts are compared.",
)
@click.option(
    "--max-length",
    metavar="N",
    type=click.IntRange(min=1),
    help="Longest input in tokens; the model's own limit unless given.",
)
@click.option(
    "--task",
    default="auto",
    metavar="NAME",
    shell_complete=options.completes(options.tasks),
    help="What the teacher is for; auto reads it from its files.",
)
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a hub model.")
@click.option("--force", is_flag=True, help="Replace an existing distilled folder.")
@options.verb_options
@click.pass_obj
def command(
    output: Output, /, teacher: str, data: tuple[str, ...], controls: bool | None, **request: Any
) -> None:
    """Make a small model of a large one, and show what the teacher was good for.

    TEACHER is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    The student is an ordinary folder that goes into edgekit export. A run that was killed goes on
    where it was when the same command is given again.
    """
    from edgekit.api.distill import distill
    from edgekit.cli import distill_view

    with output.progress() as progress:
        made = distill(teacher, data, progress=progress, controls=controls, **request)
    distill_view.show(output, made)
