"""Score bundles and models on labelled data, side by side, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("models", nargs=-1, required=True, metavar="BUNDLE|MODEL...")
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help="Rows with their truth: .jsonl, .csv or .tsv; the columns tell what is measured.",
)
@click.option(
    "--corpus",
    metavar="FILE",
    type=click.Path(),
    help="Texts with ids that the rows of --data search in: recall, nDCG and MRR over all of them.",
)
@click.option(
    "--suite",
    "suites",
    metavar="NAME,...",
    type=options.CommaList(list),
    help="Benchmarks by lm-eval's names, for models that continue texts (arc_easy, hellaswag, "
    "...), or by mteb's, for models that embed them (STSBenchmark, NFCorpus, ...).",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(),
    help="Copies of the suites' data, a folder a dataset as on the hub; from the hub unless given.",
)
@click.option(
    "--shots",
    metavar="N",
    type=click.IntRange(min=0),
    help="Examples in a suite's prompts; its own number unless given.",
)
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    type=options.CommaList(lambda: ["eager", "executorch", "onnx", "arm64", "device"]),
    help="What answers: eager (PyTorch, fp32), executorch, onnx, arm64 (emulated here), device (on "
    "a phone over adb). All of a bundle's own that run here unless given.",
)
@click.option("--serial", metavar="SERIAL", help="Which phone; ANDROID_SERIAL, or the only one.")
@click.option(
    "--task",
    default="auto",
    metavar="NAME",
    shell_complete=options.completes(options.tasks),
    help="What a MODEL is for; auto reads it from its files.",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Score the first N rows only."
)
@click.option(
    "--slice",
    "slices",
    metavar="COLUMN",
    multiple=True,
    help="Score the parts of the data that a column makes as well; length and script always are.",
)
@click.option(
    "--robustness",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Ask the first N rows again with typos, other case, spaces, emoji and mixed script.",
)
@click.option(
    "--show-flips",
    "flips",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Show N rows whose answer changed against the first.",
)
@click.option(
    "--baseline",
    metavar="FILE",
    type=click.Path(),
    help="A document of an earlier -o: its first becomes the first here.",
)
@click.option(
    "--min",
    "least",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Exit 1 when a score is poorer than this.",
)
@click.option(
    "--max-drop",
    "most_drop",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Exit 1 when more than this is lost against the first.",
)
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write JUnit XML.")
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE",
    type=click.Path(),
    help="Write the document, for --baseline and edgekit report; a stopped run goes on from there.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 256),
    help="Rows of --data that are asked at a time. One a processor unless given, fewer for few "
    "rows or little memory.",
)
@click.option("--seed", type=int, default=0, help="Of resampling and harm.")
@options.verb_options
@click.pass_obj
def command(
    output: Output,
    /,
    models: tuple[str, ...],
    least: tuple[str, ...],
    most_drop: tuple[str, ...],
    junit: Path | None,
    **request: Any,
) -> None:
    """Score bundles and models on labelled data, side by side, with intervals.

    The .pte and the .onnx themselves answer every row; the first column is what the others are held
    against, row by row. Intervals are 95 %: Wilson's for shares, bootstrap elsewhere, paired for
    differences. Exits 1 when a gate fails or an output is not a finite number.
    """
    from edgekit.cli import eval_view

    eval_view.run(output, models, least, most_drop, junit, request)
