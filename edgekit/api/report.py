"""One page of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.api.packages import packages_present


def report(
    runs: Sequence[str | Path], out: str | Path, *, svg: str | Path | None = None
) -> list[Path]:
    """Write a report: one HTML file that needs no network.

    Args:
        runs: documents that ``edgekit eval -o`` wrote, and bundles.
        out: the page.
        svg: a folder for the plots as files of their own.

    Returns:
        The files that were written.

    Raises:
        SpecError: nothing is named.
        InputMissing, InputRefused, BundleCorrupt: an input is missing or is not what it should be.
        Unavailable: jinja2 or matplotlib is not installed.
        CannotWrite, StorageFull: a file cannot be written.
    """
    from edgekit.report import inputs, page
    from edgekit.scoring import saved

    target = Path(out)
    plots = None if svg is None else Path(svg)
    for path in (target, *(() if plots is None else (plots / "plot.svg",))):
        saved.require_writable(path)
    found = inputs.read([Path(run) for run in runs])
    with packages_present():
        html, drawn = page.made(found)
    saved.write_bytes(target, html.encode("utf-8", "replace"))
    written = [target]
    for name, text in drawn.items() if plots is not None else ():
        assert plots is not None
        saved.write_bytes(plots / name, text.encode())
        written.append(plots / name)
    return written
