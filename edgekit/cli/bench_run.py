"""Runs ``edgekit bench`` and ``edgekit compare``: files and words in, the library, a report out."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.bench import compare as comparing
from edgekit.bench import record as records
from edgekit.bench import tuning as tunings
from edgekit.bench import where
from edgekit.bench.experiment import bench as measure
from edgekit.cli import bench_options, bench_view
from edgekit.cli.output import Output
from edgekit.device.places import app as apps
from edgekit.errors import RegressionFound


def bench(
    output: Output,
    *,
    bundles: tuple[str, ...],
    serial: str | None,
    place: str,
    app: str | None,
    runtimes: tuple[str, ...] | None,
    threads: tuple[int, ...] | None,
    cores: tuple[int, ...] | None,
    lengths: tuple[int, ...] | None,
    tokens: int | None,
    quick: bool,
    baseline: str | None,
    seed: int | None,
    cooldown: float | None,
    tuning: str | None,
    form: str | None,
    out: str | None,
    resume: str | None,
    force: bool,
) -> None:
    """Measure, show, and hold against a baseline.

    Raises:
        click.UsageError: options that exclude each other.
        EdgekitError: what ``edgekit.bench`` raises.
    """
    if form is not None and output.as_json:
        raise click.UsageError("choose one of --json, --csv and --markdown.")
    if tuning is not None and threads != () and resume is None:
        raise click.UsageError("--tuning needs --threads auto.")
    path = bench_options.record_file(out, resume)
    # Read first: a long run must not end at a baseline that was never there.
    base = None if baseline is None else records.read(Path(baseline))
    asked = bench_options.request(
        quick=quick,
        lengths=lengths,
        threads=threads,
        cores=cores,
        runtimes=runtimes or (apps.RUNTIMES if app is not None else None),
        seed=seed,
        cooldown=cooldown,
        tokens=tokens,
    )
    with output.progress() as progress:
        record = measure(
            [Path(bundle) for bundle in bundles],
            asked,
            where.opener(place, serial, app),
            path,
            force=force,
            resume=resume is not None,
            progress=progress,
        )
    if tuning is not None:
        tunings.write(Path(tuning), record)
    shown = form or ("json" if output.as_json else "screen")
    found = None
    try:
        found = None if base is None else comparing.compare(base, record, force=force)
    finally:  # what was measured is shown even where it cannot be compared
        bench_view.show(output, record, path, shown, found)
    if found is not None:
        comparing.refuse_regression(found)


def compare(output: Output, baseline: str, record: str, *, force: bool) -> None:
    """Compare two records and show every row.

    Raises:
        RegressionFound: something became worse.
        EdgekitError: what ``edgekit.bench.compare`` raises.
    """
    found = comparing.compare(records.read(Path(baseline)), records.read(Path(record)), force=force)
    try:
        comparing.refuse_regression(found)
    except RegressionFound as failure:
        bench_view.failed(output, failure, found)
        raise
    if output.as_json:
        output.document(found.as_dict())
    else:
        bench_view.comparison(output, found)
