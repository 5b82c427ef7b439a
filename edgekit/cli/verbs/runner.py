"""Build the runners, or say where they are."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output

_machine = click.option(
    "--machine",
    type=click.Choice(["aarch64", "x86_64"]),
    default="aarch64",
    show_default=True,
    help="Processor to run on; x86_64 is for the bench on this computer.",
)


@click.group()
def command() -> None:
    """Build the runners, or say where they are.

    A runner is a small native program that runs an artifact with its runtime's arm64 kernels, under
    emulation or on a phone. There is one for each runtime.
    """


@command.command()
@_machine
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    type=options.CommaList(options.runtimes),
    help="Runners to build; all unless given.",
)
@click.option("--force", is_flag=True, help="Build again even when a built one is there.")
@options.verb_options
@click.pass_obj
def build(output: Output, machine: str, runtimes: tuple[str, ...] | None, force: bool) -> None:
    """Build them with the compiler for the machine; they are kept for later."""
    from edgekit.device import runner

    with output.libraries_quiet():
        folders = {
            name: str(runner.build(machine=machine, runtime=name, force=force, say=output.say))
            for name in runtimes or options.runtimes()
        }
    if output.as_json:
        output.document({"runners": folders})
    else:
        output.text("\n".join(folders.values()))


@command.command()
@_machine
@click.option(
    "--runtime",
    type=click.Choice(options.runtimes()),
    default="executorch",
    show_default=True,
    help="Whose runner.",
)
@options.verb_options
@click.pass_obj
def path(output: Output, machine: str, runtime: str) -> None:
    """Print the folder of a built runner."""
    from edgekit.device import runner

    output.value("runner", str(runner.built(machine, runtime)))
