"""Shows what a recipe came to: a line after each stage, then the artifacts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Cell, Output
from edgekit.cli.render import NONE, cosine, size

if TYPE_CHECKING:
    from edgekit.api.compress import Compressed

_QUALITY = ("fidelity", "cosine", "agreement")


def show(output: Output, made: Compressed) -> None:
    """The figures as tables, or as one JSON document."""
    if output.as_json:
        output.document({"bundle": str(made.path), "record": made.record})
        return
    found = made.record
    every = [*found["stages"], *found["artifacts"]]
    kept = [name for name in _QUALITY if any(name in line for line in every)]
    output.table(
        ["after", "parameters", "weights", *kept],
        [
            [line["after"], f"{line['parameters']:,}", size(line["bytes"]), *_kept(line, kept)]
            for line in found["stages"]
        ],
        right=tuple(range(1, 3 + len(kept))),
    )
    output.table(
        ["artifact", "scheme", "bytes", "of fp32", "worst", "mean", *kept],
        [_artifact(line, kept) for line in found["artifacts"]],
        right=tuple(range(2, 6 + len(kept))),
    )
    rows = found["rows"]
    origin = "built-in texts" if rows["built in"] else "texts of the data, never trained on"
    output.text(
        f"{', '.join(kept)}: against the original's answers to {rows['held out']} {origin}; "
        "stages in PyTorch, artifacts run here. worst, mean: cosines against the model of the last "
        "stage."
    )
    output.text(f"bundle: {made.path}")
    output.text(f"next:   {shlex.join(['edgekit', 'verify', str(made.path)])}")


def _artifact(line: Mapping[str, Any], kept: Sequence[str]) -> list[Cell]:
    cosines = (line["worst cosine"], line["mean cosine"])
    return [
        line["artifact"],
        line["scheme"],
        size(line["bytes"]),
        f"{line['share']:.2%}",
        *(NONE if value is None else cosine(value) for value in cosines),
        *_kept(line, kept),
    ]


def _kept(line: Mapping[str, Any], names: Sequence[str]) -> list[Cell]:
    return [f"{line[name]:.4f}" if name in line else NONE for name in names]
