"""Show what is in a bundle or in a quantized folder."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("bundle", type=click.Path())
@click.option(
    "--ledger",
    "in_full",
    is_flag=True,
    help="Show what was done to each tensor and what it cost, the worst first.",
)
@options.verb_options
@click.pass_obj
def command(output: Output, bundle: str, in_full: bool) -> None:
    """Show what is in a bundle or in a quantized folder.

    BUNDLE is what edgekit export or edgekit quantize wrote. Reads the manifest or the plan and
    checks the files against it; loads no model and needs no runtime.
    """
    from edgekit import api
    from edgekit.cli import ledger, render

    made = api.open_quantized(bundle)
    if made is not None:
        if output.as_json:
            output.document(ledger.record(made))
        elif in_full:
            ledger.whole(output, ledger.of_plan(made))
        else:
            ledger.summary(output, made)
        return
    opened = api.Bundle.open(bundle)
    found = opened.ledger()
    if output.as_json:
        output.document({**render.bundle_record(opened), **found})
    elif in_full:
        ledger.whole(output, found)
    else:
        render.contents(output, opened)
