"""Replay a bundle on a phone over adb and compare every answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli import options
from edgekit.cli.output import Output


@click.command(context_settings={"show_default": True})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--serial", metavar="SERIAL", help="Which phone; ANDROID_SERIAL, or the only one.")
@click.option("--all", "every", is_flag=True, help="All connected phones, at the same time.")
@click.option(
    "--place",
    default="phone",
    metavar="NAME",
    shell_complete=options.completes(lambda: ["phone", "arm64", "host"]),
    help="Where: phone, arm64 (emulated here) or host (this machine).",
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
    help="Artifacts to test: executorch, onnx. All whose runner is built unless given.",
)
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Texts with their labels (.csv or .jsonl): accuracy and macro F1 of a classifier.",
)
@click.option(
    "--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write JUnit XML as well."
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    help="Wait for a phone to be connected and allowed.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(1, 86_400),
    default=900.0,
    help="Longest that one run on the phone may take.",
)
@click.option(
    "--keep", is_flag=True, help="Leave the files on the phone: the next test is quicker."
)
@options.verb_options
@click.pass_obj
def command(output: Output, /, bundle: Path, junit: Path | None, **request: Any) -> None:
    """Replay a bundle on a phone over adb and compare every answer.

    The bundle's hashes are checked here and again on the phone. Every artifact then answers the
    bundle's goldens, and is held against the tolerances of the manifest. Nothing stays on the
    phone. Exits 1 when an answer differs, naming artifact, golden and phone.
    """
    from edgekit.cli import test_view
    from edgekit.testing import junit as reports
    from edgekit.testing import record, report
    from edgekit.testing.run import Request, check_bundle

    if junit is not None:
        reports.require_writable(junit)
    with output.progress() as progress:
        visits = check_bundle(bundle, Request(**request), progress)
    failure = report.failure_of(visits)
    if junit is not None:
        reports.write(junit, bundle.absolute().name, visits)
    if output.as_json:
        output.document(record.document(bundle, visits, failure))
    else:
        test_view.show(output, visits)
    if failure is not None:
        raise failure
