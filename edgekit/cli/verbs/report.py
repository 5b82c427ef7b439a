"""Write one self-contained HTML page of evaluations and bundles."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE.html",
    type=click.Path(),
    default="report.html",
    help="The page; an existing one is replaced.",
)
@click.option(
    "--svg", metavar="DIR", type=click.Path(), help="Write the plots as files there as well."
)
@options.verb_options
@click.pass_obj
def command(output: Output, /, runs: tuple[str, ...], out: str, svg: str | None) -> None:
    """Write one self-contained HTML page of evaluations and bundles.

    RUN is a file that edgekit eval -o wrote, or a bundle. The page needs no network and, for what
    matters, no script: scores with intervals, size against quality, parts of the data, changed
    answers, parity hop by hop, the ledger of layers, delegation, memory and the environment.
    """
    from edgekit import api

    with output.libraries_quiet():
        written = [str(path) for path in api.report(runs, out, svg=svg)]
    if output.as_json:
        output.document({"files": written})
    else:
        for path in written:
            output.text(path)
