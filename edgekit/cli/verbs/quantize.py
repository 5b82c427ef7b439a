"""Quantize a model: its folder again, with a plan and a ledger that export follows."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option(
    "--scheme",
    metavar="NAME",
    shell_complete=options.completes(lambda: [*options.schemes(), "mixed"]),
    help="auto, none, int8, int8-int4 (linears - tables), int4-int8, int4, or mixed: bits chosen "
    "tensor by tensor under a budget.  [default: auto; mixed with a budget]",
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(),
    help="Your own texts, one a line, to calibrate with; some hundred. Built-in ones unless given.",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="The new folder; named after the model and the scheme unless given.",
)
@click.option(
    "--recipe",
    metavar="FILE.toml",
    type=click.Path(),
    help="These options in a file, and bits for single tensors. The command line wins.",
)
@click.option(
    "--scaling",
    metavar="NAME",
    help="Moves outliers from activations to weights: auto, learned, smoothquant, awq or none.  "
    "[default: auto]",
)
@click.option(
    "--rounding",
    metavar="NAME",
    help="How weights become integers: gptq or nearest.  [default: gptq]",
)
@click.option(
    "--qat",
    metavar="STEPS",
    type=int,
    help="Instead of both, train the weights for their integers: minutes; no better than gptq on "
    "the models tried.",
)
@click.option(
    "--tweak",
    metavar="STEPS",
    type=int,
    help="After rounding, train norms and biases to make up for it: a minute for 200 steps.  "
    "[default: 200 for a mixed plan, else 0]",
)
@click.option(
    "--group",
    metavar="N",
    type=int,
    help="Columns that share a scale in 4-bit weights: 32, 64 or 128; narrower where N does not "
    "divide the width.",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Budget of a mixed plan: most bytes of the weights, such as 20MB, or 17% of fp32.",
)
@click.option(
    "--min-quality",
    metavar="COSINE",
    type=float,
    help="Budget of a mixed plan: least cosine of the worst text, such as 0.98.",
)
@click.option(
    "--max-latency",
    metavar="TIME",
    help="Budget of a mixed plan: longest run of its .pte at 64 tokens by one thread of this "
    "machine, such as 4ms, or 0.5x of fp32's; 4ms@128 at 128 tokens.",
)
@click.option(
    "--plot",
    metavar="FILE.svg",
    type=click.Path(),
    help="Draw size against quality of what a mixed plan was chosen from.",
)
@options.model_options
@click.option("--force", is_flag=True, help="Replace an existing quantized folder.")
@options.verb_options
@click.pass_obj
def command(output: Output, /, model: str, **request: Any) -> None:
    """Quantize a model: its folder again, with a plan and a ledger that export follows.

    MODEL is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    The weights stay as they are; the plan beside them has every integer. Below a floor of coverage
    or quality nothing is written and the tensors are named.
    """
    from edgekit import api
    from edgekit.cli import ledger, render

    with render.failed_hops_shown(output), output.progress() as progress:
        made = api.quantize(model, progress=progress, **request)
    if output.as_json:
        output.document(ledger.record(made))
    else:
        ledger.summary(output, made)
        output.text(f"folder: {made.path}")
        output.text(f"next:   {ledger.next_command(made)}")
