"""Build the arm64 runner, or say where it is."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.group()
def command() -> None:
    """Build the arm64 runner, or say where it is.

    The runner is a small native program that replays a .pte through ExecuTorch's arm64 kernels.
    """


@command.command()
@click.option("--force", is_flag=True, help="Build again even when a built one is there.")
@options.verb_options
@click.pass_obj
def build(output: Output, force: bool) -> None:
    """Build it with the cross compiler; it is kept for later."""
    from edgekit.device import runner

    with output.libraries_quiet():
        folder = runner.build(force=force, say=output.say)
    output.value("runner", str(folder))


@command.command()
@options.verb_options
@click.pass_obj
def path(output: Output) -> None:
    """Print the folder of the built runner."""
    from edgekit.device import runner
    from edgekit.errors import Unavailable

    folder = runner.find()
    if folder is None:
        raise Unavailable("the arm64 runner is not built", hint="Build it: edgekit runner build")
    output.value("runner", str(folder))
