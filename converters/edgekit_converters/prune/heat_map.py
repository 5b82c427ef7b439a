"""A sensitivity scan as a picture: groups down, amounts across, the loss as colour."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.disk import as_write_errors

if TYPE_CHECKING:
    from edgekit_converters.prune.scan import Scan

_ROW_INCHES, _COLUMN_INCHES = 0.28, 0.9


def draw(scan: Scan, path: Path) -> None:
    """Write the picture as SVG, the same bytes for the same scan.

    Raises:
        CannotWrite, StorageFull: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(row.group for row in scan.rows))
    amounts = list(dict.fromkeys(row.amount for row in scan.rows))
    losses = {(row.group, row.amount): row.mean for row in scan.rows}
    table = [[losses.get((group, amount), 0.0) for amount in amounts] for group in groups]
    with mpl.rc_context({"svg.hashsalt": "edgekit", "font.size": 8}):
        size = (4.0 + _COLUMN_INCHES * len(amounts), 1.2 + _ROW_INCHES * len(groups))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(table, cmap="viridis", aspect="auto", vmin=0.0)
        axes.set_xticks(range(len(amounts)), amounts)
        axes.set_yticks(range(len(groups)), groups)
        axes.set_xlabel("share removed, each group alone")
        axes.set_title(f"{scan.model}: {scan.granularity} by {scan.method}")
        highest = max((value for row in table for value in row), default=0.0)
        for i, values in enumerate(table):
            for j, value in enumerate(values):
                shade = "black" if value > 0.6 * highest else "white"
                axes.text(j, i, f"{value:.4f}", ha="center", va="center", color=shade)
        figure.colorbar(image, label="mean loss")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    with as_write_errors(path):
        path.write_text(drawn.getvalue(), encoding="utf-8")
