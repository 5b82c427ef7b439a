"""Show what is in a bundle."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("bundle", type=click.Path())
@options.verb_options
@click.pass_obj
def command(output: Output, bundle: str) -> None:
    """Show what is in a bundle.

    Reads the manifest and checks the files against it; loads no model and needs no runtime.
    """
    from edgekit import api
    from edgekit.cli import render

    opened = api.Bundle.open(bundle)
    if output.as_json:
        output.document(render.bundle_record(opened))
    else:
        render.contents(output, opened)
