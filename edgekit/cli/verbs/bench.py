"""Measure a bundle's artifacts on a phone, here, or check the run on emulated arm64."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import bench_options, options
from edgekit.cli.output import Output


@click.command()
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path())
@click.option("--serial", metavar="SERIAL", help="Which phone, when several are connected.")
@click.option(
    "--place",
    "place",
    type=click.Choice(["phone", "host", "arm64"]),
    default="phone",
    show_default=True,
    help="Where to measure: a phone, this computer, or emulated arm64 (which has no speed).",
)
@click.option(
    "--app",
    metavar="PACKAGE",
    help="Inside this app of the phone, by the runner that edgekit android put into it.",
)
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    type=options.CommaList(options.runtimes),
    help="Artifacts to measure; all unless given.",
)
@click.option(
    "--threads",
    metavar="N,...|auto",
    type=bench_options.Numbers(1, 64, auto=True),
    help="Thread counts; auto tries 1, 2, 4 and all first and measures with the best.  "
    "[default: 4, or as many as there are processors]",
)
@click.option(
    "--cores",
    metavar="N,...",
    type=bench_options.Numbers(0, 1023),
    help="Processors that the runner may use, by number; all unless given.",
)
@click.option(
    "--lengths",
    metavar="N,...",
    type=bench_options.Numbers(1, 1 << 20),
    help="Input lengths in tokens, of a decoder its prompts'.  [default: those of 16,64,128 that "
    "the bundles take]",
)
@click.option(
    "--tokens",
    metavar="N",
    type=click.IntRange(2, 2048),
    help="How long a decoder's answers are.  [default: 64, or half of a small context]",
)
@click.option("--quick", is_flag=True, help="A second for each setting; marked as no basis.")
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(),
    help="A record to compare with at the end: exit 1 on a regression, as edgekit compare.",
)
@click.option(
    "--seed", metavar="N", type=click.IntRange(0, 2**31), help="Of the order.  [default: 0]"
)
@click.option(
    "--cooldown",
    metavar="MINUTES",
    type=click.FloatRange(0, 600),
    help="Most waiting for a cool device, over the whole run.  [default: 10; 0.5 with --quick]",
)
@click.option(
    "--tuning",
    metavar="FILE",
    type=click.Path(),
    help="With --threads auto: write the best thread counts for an app to read.",
)
@click.option("--csv", "form", flag_value="csv", help="Print every figure as CSV.")
@click.option("--markdown", "form", flag_value="markdown", help="Print the report as Markdown.")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE",
    type=click.Path(),
    help="The record.  [default: bench-DATE-TIME.json here]",
)
@click.option(
    "--resume",
    metavar="FILE",
    type=click.Path(),
    help="Continue a record that ended early, with the same bundles.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace a record; measure with a nearly empty battery or a locked screen; "
    "compare with any baseline.",
)
@options.verb_options
@click.pass_obj
def command(output: Output, /, **words: Any) -> None:
    """Measure a bundle's artifacts on a phone, here, or check the run on emulated arm64.

    At least 3 warm-ups, 10 runs and 60 s a setting in three blocks, artifacts and settings
    interleaved. A block that was throttled, unsteady or disturbed does not count, and the report
    says so. A decoder has two times: of a prompt up to its first token (prefill), and of each token
    after it (decode). With several bundles, the first is what the others are compared with.
    """
    from edgekit.cli import bench_run

    bench_run.bench(output, **words)
