"""Check a bundle's files and replay its goldens here, and on emulated arm64."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("bundle", type=click.Path())
@click.option(
    "--arm64", is_flag=True, help="Replay through the real arm64 kernels under qemu as well."
)
@click.option(
    "--isa",
    "cpus",
    metavar="NAME,...",
    type=options.CommaList(options.cpus),
    help="Emulated processors, such as a53,a76,neoverse-n1; implies --arm64.",
)
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    type=options.CommaList(options.runtimes),
    help="Artifacts to check; all unless given.",
)
@options.verb_options
@click.pass_obj
def command(
    output: Output,
    bundle: str,
    arm64: bool,
    cpus: tuple[str, ...] | None,
    runtimes: tuple[str, ...] | None,
) -> None:
    """Check a bundle's files and replay its goldens here, and on emulated arm64.

    The hashes come first: nothing is loaded from a folder that does not match its manifest.
    Exits 1 when a hop misses its floor, 65 when a file was changed.
    """
    from edgekit import api
    from edgekit.cli import render

    with render.failed_hops_shown(output), output.progress() as progress:
        opened = api.Bundle.open(bundle)
        hops = opened.verify(runtimes=runtimes, arm64=cpus or arm64, progress=progress)
    if output.as_json:
        output.document(render.verdict_record(opened, hops))
    else:
        render.hops(output, hops)
        output.text(f"{len(opened.manifest.files)} files match the manifest; every hop holds.")
