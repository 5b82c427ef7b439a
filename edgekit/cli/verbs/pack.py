"""Make a task pack: train, dev and test data for one use of a small model."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.group()
def command() -> None:
    """Make a task pack: train, dev and test data for one use of a small model.

    The sentences are made by scripts from a seed, so a score on them compares models; a pack's
    README.md says what it does not tell.
    """


@command.command("list")
@options.verb_options
@click.pass_obj
def list_packs(output: Output) -> None:
    """Name every pack, its task and what is scored."""
    from edgekit import packs
    from edgekit.cli import packs_view

    packs_view.listed(output, [packs.pack(name) for name in packs.names()])


@command.command()
@click.argument("name", shell_complete=options.completes(options.packs))
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="The new folder; named after the pack unless given.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sentences.")
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    help="Rows to train on; the pack's own number unless given.",
)
@click.option("--force", is_flag=True, help="Replace an older pack.")
@options.verb_options
@click.pass_obj
def make(
    output: Output, name: str, out: str | None, seed: int, rows: int | None, force: bool
) -> None:
    """Write the pack NAME: train.jsonl, dev.jsonl, test.jsonl and a card."""
    from pathlib import Path

    from edgekit.cli import packs_view
    from edgekit.packs.make import make as write

    folder = Path(out or name)
    packs_view.made(output, name, folder, write(name, folder, seed=seed, rows=rows, force=force))
