"""Compare two records of edgekit bench: what became slower, and what is only noise."""

from __future__ import annotations

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command()
@click.argument("baseline", type=click.Path())
@click.argument("record", type=click.Path())
@click.option(
    "--force",
    is_flag=True,
    help="Compare records of different machines or settings, and blocks that do not count; for "
    "those, the middle halves of the times must lie apart as well.",
)
@options.verb_options
@click.pass_obj
def command(output: Output, baseline: str, record: str, force: bool) -> None:
    """Compare two records of edgekit bench: what became slower, and what is only noise.

    A setting is slower, or faster, when the 95 % interval of the ratio of medians leaves out 1, the
    medians differ by more than 3 % (10 % when a run was --quick), and they differ by more than the
    spread of both runs: the range of block medians of the one plus that of the other. Anything else
    is no difference seen. Exits 1 when something is slower or takes more memory.
    """
    from edgekit.cli import bench_run

    bench_run.compare(output, baseline, record, force=force)
