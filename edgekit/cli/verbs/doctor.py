"""Look at this machine, or at a phone: what is missing, and how to mend it."""

from __future__ import annotations

import click

from edgekit.cli import devices_view, options
from edgekit.cli.output import Output
from edgekit.errors import Unavailable


@click.command()
@click.option("--device", is_flag=True, help="Look at adb and at a phone instead.")
@click.option("--fix", is_flag=True, help="With --device: mend what can be mended from here.")
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(),
    help="Write a phone's answers to FILE, without what names you, for a report.",
)
@click.option(
    "--serial",
    metavar="SERIAL",
    shell_complete=options.completes(devices_view.serials),
    help="Which phone; ANDROID_SERIAL, or the only one, unless given.",
)
@options.verb_options
@click.pass_context
def command(
    context: click.Context, device: bool, fix: bool, record: str | None, serial: str | None
) -> None:
    """Look at this machine, or at a phone: what is missing, and how to mend it.

    Exits 0 when edgekit export can run here, 69 when it cannot. With --device: 0 when the phone
    can be used, else the status of what stands in the way.
    """
    output = context.ensure_object(Output)
    if record is not None:
        devices_view.recorded(output, record, serial)
    elif device or fix or serial is not None:
        context.exit(devices_view.examined(output, serial, fix))
    else:
        context.exit(_machine(output))


def _machine(output: Output) -> int:
    from edgekit.cli import render
    from edgekit.doctor import diagnose

    diagnosis = diagnose()
    if output.as_json:
        output.document(diagnosis.as_dict())
    else:
        render.diagnosis(output, diagnosis)
    return 0 if diagnosis.can_export else Unavailable.exit_status
