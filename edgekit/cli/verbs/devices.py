"""List the phones that adb sees: what they are, how they are, and how to mend what is wrong."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.option("--watch", is_flag=True, help="Stay, and print a line for each change until Ctrl-C.")
@options.verb_options
@click.pass_context
def command(context: click.Context, watch: bool) -> None:
    """List the phones that adb sees: what they are, how they are, and how to mend what is wrong.

    Nothing on a phone is changed. Exits 0 when at least one phone is usable; 69 when there is
    none; else with the status of the worst state, such as 77 for a phone that has not allowed
    this computer.
    """
    from edgekit.cli import devices_view
    from edgekit.device import adb, inventory, survey

    output = context.ensure_object(Output)
    client = adb.find()
    if watch:
        devices_view.changes(output, inventory.watch(client))
        return
    found = survey.survey(client)
    devices_view.phones(output, found)
    context.exit(survey.status(found))
