"""The page: one HTML file that needs nothing else, no network and, for what matters, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.report.inputs import Inputs
from edgekit.report.plots import pareto

_TEMPLATES = Path(__file__).parent


def made(inputs: Inputs) -> tuple[str, dict[str, str]]:
    """The page, and its plots as files.

    Args:
        inputs: what it is of.

    Returns:
        HTML, and SVG by file name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "size": size, "share": share, "breakable": breakable}
    plots = {name: pareto(document) for name, document in inputs.evaluations}
    evaluations = [
        {
            "name": name,
            # Drawn by matplotlib, which escapes what it is given.
            "plot": Markup(plots[name]) if plots[name] else None,
            **document,
            "parts": _parts(document),
        }
        for name, document in inputs.evaluations
    ]
    html = environment.get_template("page.html.j2").render(
        evaluations=evaluations,
        bundles=[_bundle(manifest, ledger) for manifest, ledger in inputs.bundles],
        style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((_TEMPLATES / "page.js").read_text(encoding="utf-8")),
    )
    files = {f"{Path(name).stem}-pareto.svg": _alone(plot) for name, plot in plots.items() if plot}
    return html, files


def number(value: float | None, sign: str = "") -> str:
    """A figure with four digits; a dash for none."""
    if value is None:
        return "–"  # noqa: RUF001
    value = round(value, 4) + 0.0  # what rounds to nothing has no minus
    return f"{value:{sign}.4f}" if abs(value) < 1000 else f"{value:{sign}.4g}"


def size(count: int | None) -> str:
    """Bytes in the unit that fits."""
    if count is None:
        return "–"  # noqa: RUF001
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def share(value: float | None) -> str:
    """A share of 1 in per cent."""
    return "–" if value is None else f"{value:.1%}"  # noqa: RUF001


def breakable(name: str) -> str:
    """A tensor's name that may go on in the next line after a dot or an underscore."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def _parts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a part of the data: what it is, its rows, and the figure of each contestant."""
    columns = [
        {(part["by"], part["name"]): part for part in one.get("slices") or ()}
        for one in document["contestants"]
    ]
    rows = []
    for key, part in columns[0].items():
        values = [column[key]["value"] if key in column else None for column in columns]
        rows.append({"by": key[0], "name": key[1], "rows": part["rows"], "values": values})
    return rows


def _bundle(manifest: Manifest, ledger: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "manifest": manifest,
        "artifacts": [_artifact(artifact) for artifact in manifest.artifacts],
        "coverage": ledger.get("coverage"),
        "ledger": ledger.get("ledger", ()),
    }


def _artifact(artifact: ArtifactInfo) -> dict[str, Any]:
    found = artifact.delegation
    return {
        "info": artifact,
        "of_fp32": artifact.bytes / artifact.fp32_bytes if artifact.fp32_bytes else None,
        "share": None if found is None else found.share,
        "left": [] if found is None else sorted(found.left.items(), key=lambda item: -item[1]),
        "reasons": {} if found is None else found.reasons,
    }


def _alone(svg: str) -> str:
    """A plot as a file of its own: its ink is black there."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + svg.replace("currentColor", "#000000")
