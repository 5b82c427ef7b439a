"""Look at this machine: versions, extras, tools, and how to mend what is missing."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output
from edgekit.errors import Unavailable


@click.command()
@options.verb_options
@click.pass_context
def command(context: click.Context) -> None:
    """Look at this machine: versions, extras, tools, and how to mend what is missing.

    Exits 0 when edgekit export can run here, 69 when it cannot.
    """
    from edgekit.cli import render
    from edgekit.doctor import diagnose

    output = context.ensure_object(Output)
    diagnosis = diagnose()
    if output.as_json:
        output.document(diagnosis.as_dict())
    else:
        render.diagnosis(output, diagnosis)
    context.exit(0 if diagnosis.can_export else Unavailable.exit_status)
