"""Prune a model: remove what matters least, and say what that saved and cost."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output
from edgekit.cli.prune_view import AMOUNTS, names


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option(
    "--method",
    metavar="NAME",
    shell_complete=options.completes(lambda: names("methods")),
    help="How units are ranked: obd, obd-fisher, taylor, magnitude, wanda, activation, obs, "
    "sparsegpt, movement, block-influence (layers), frequency (vocabulary), random.  "
    "[default: obd; block-influence for layers, frequency for a vocabulary]",
)
@click.option(
    "--granularity",
    metavar="NAME",
    shell_complete=options.completes(lambda: names("granularities")),
    help="What is removed: ffn, head, hidden, layer, vocab make shapes smaller; element, block "
    "and patterns such as 2:4 leave zeros, which save no time.  [default: ffn]",
)
@click.option("--amount", metavar="SHARE", type=float, help="Share to remove, such as 0.5.")
@click.option(
    "--schedule",
    metavar="NAME",
    help="one-shot, iterative or cubic: in rounds, with training in between.  [default: one-shot]",
)
@click.option("--rounds", metavar="N", type=int, help="Rounds of a schedule.  [default: 5]")
@click.option(
    "--allocation",
    metavar="NAME",
    help="How single weights' share is spread over layers: uniform, global or sensitivity.  "
    "[default: uniform]",
)
@click.option(
    "--lift", metavar="HOW", help="A unit's score: sum or mean of its elements'.  [default: sum]"
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help="Your own texts, to rank and to train with: TXT, one a line, CSV, JSONL or parquet.",
)
@click.option(
    "--retrain",
    metavar="STEPS",
    type=int,
    help="Train that many steps towards the original's answers.  [default: 0]",
)
@click.option(
    "--repair/--no-repair",
    default=None,
    help="Whether what stays is refitted to the original, without training.  [default: repair]",
)
@click.option("--seed", metavar="N", type=int, help="Of everything drawn.  [default: 0]")
@click.option(
    "--control/--no-control",
    default=None,
    help="Whether random units are tried beside, with as much training.  [default: control]",
)
@click.option(
    "--measure/--no-measure",
    default=None,
    help="Export both models and time the artifacts, instead of PyTorch.  [default: no-measure]",
)
@click.option("--scan", is_flag=True, help="Write nothing: show what each group could spare.")
@click.option(
    "--amounts",
    metavar="LIST",
    type=AMOUNTS,
    help="Shares that a scan tries.  [default: 0.25,0.5,0.75]",
)
@click.option("--plot", metavar="FILE.svg", type=click.Path(), help="Draw the scan as a heat map.")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="The new folder; named after the model, the granularity and the amount unless given.",
)
@click.option(
    "--recipe",
    metavar="FILE.toml",
    type=click.Path(),
    help="These options in a file. The command line wins.",
)
@options.model_options
@click.option("--force", is_flag=True, help="Replace an existing pruned folder.")
@options.verb_options
@click.pass_obj
def command(output: Output, /, model: str, scan: bool, **request: Any) -> None:
    """Prune a model: remove what matters least, and say what that saved and cost.

    MODEL is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    The result is a folder of the same architecture that from_pretrained and edgekit export read.
    """
    from edgekit.cli import prune_view

    with output.progress() as progress:
        made = prune_view.job(scan, request)(model, progress=progress, **request)
    prune_view.show(output, made)
