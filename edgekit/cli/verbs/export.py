"""Turn a model into a verified Android bundle."""

from __future__ import annotations

import shlex
from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.option(
    "--target",
    default="android-arm64",
    metavar="NAME",
    shell_complete=options.completes(options.targets),
    help="What the artifacts are made for.",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(),
    help="Folder of the bundle; named after the model and the target unless given.",
)
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    type=options.CommaList(options.runtimes),
    help="Artifacts to make: executorch (.pte), onnx (.onnx). All unless given.",
)
@click.option(
    "--quantize",
    metavar="SCHEME",
    shell_complete=options.completes(options.schemes),
    help="Bits of linear layers and embedding table, or none for fp32. int8 unless given, "
    "int4-int8 for a model that generates text.",
)
@click.option(
    "--delegate",
    metavar="NAME",
    shell_complete=options.completes(options.delegates),
    help="Interface to lower for: xnnpack, nnapi (onnx only) or none. "
    "The runtime's default unless given.",
)
@options.model_options
@click.option(
    "--max-context",
    metavar="N",
    type=click.IntRange(min=1),
    help="Most tokens of prompt and answer together, for a model that generates text: its cache is "
    "planned for them. The model's own limit, at most 1024, unless given.",
)
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Texts of one pass, padded and with a mask: for an app that has many at hand. "
    "One text at a time is answered sooner without.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option(
    "--keep-failed", is_flag=True, help="Keep a bundle that missed a floor, marked uncertified."
)
@options.verb_options
@click.pass_obj
def command(output: Output, /, model: str, **request: Any) -> None:
    """Turn a model into a verified Android bundle.

    MODEL is a Hugging Face folder, a hub id such as org/name, or minilm (the embedded default).
    Every artifact is compared with the model on real texts; below a floor there is no bundle.
    """
    from edgekit import api
    from edgekit.cli import render

    with render.failed_hops_shown(output), output.progress() as progress:
        bundle = api.export(model, progress=progress, **request)
    if output.as_json:
        output.document(render.bundle_record(bundle))
    else:
        render.artifacts(output, bundle.manifest)
        output.text(f"bundle: {bundle.path}")
        emulated = " --arm64" if "executorch" in bundle.runtimes else ""
        output.text(f"next:   edgekit verify {shlex.quote(str(bundle.path))}{emulated}")
        output.text(f"        {render.run_example(bundle)}")
