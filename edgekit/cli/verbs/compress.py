"""Run several stages from one recipe: prune, distill, quantize, and export the result."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option(
    "--recipe",
    metavar="FILE.toml",
    required=True,
    type=click.Path(),
    help="The stages in order, [[stages]] with kind and that stage's own keys, and [export].",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="Folder of the bundle; named after the model unless given.",
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help="Your own texts, for all stages: TXT, one a line, CSV, JSONL or parquet with a column "
    "text. A part that no stage trains on measures each of them.",
)
@click.option(
    "--task",
    default="auto",
    metavar="NAME",
    shell_complete=options.completes(options.tasks),
    help="What the model is for; auto reads it from the model's files.",
)
@click.option("--revision", metavar="REV", help="Branch, tag or commit of a hub model.")
@click.option("--keep-stages", is_flag=True, help="Keep the folder of each stage, in DIR.stages.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@options.verb_options
@click.pass_obj
def command(output: Output, /, model: str, **request: Any) -> None:
    """Run several stages from one recipe: prune, distill, quantize, and export the result.

    MODEL is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    Every stage is held against MODEL on the same texts. A run that was killed goes on after the
    last whole stage when the same command is given again.
    """
    from edgekit.api.compress import compress
    from edgekit.cli import compress_view, render

    with render.failed_hops_shown(output), output.progress() as progress:
        made = compress(model, progress=progress, **request)
    compress_view.show(output, made)
