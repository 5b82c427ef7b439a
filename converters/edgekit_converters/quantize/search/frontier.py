"""What every size buys: the best mixes over a sweep of budgets, drawn beside peers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.disk import as_write_errors
from edgekit.errors import Unavailable
from edgekit_converters.quantize.search.allocate import Allocation, Limits, Rules, allocate
from edgekit_converters.quantize.search.sensitivity import (
    Arguments,
    Option,
    Rows,
    Sensitivity,
    losses,
    merged,
)
from edgekit_converters.quantize.simulate import Simulation

# Blue and orange-red keep apart for colour-blind eyes; marker and line tell them apart in grey.
_OURS, _PREDICTED, _PEERS = "#0072B2", "#595959", "#C44E00"
_TICKS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
_NEAREST_ONE = 1e-5
_STYLE = {"svg.hashsalt": "edgekit", "svg.fonttype": "path", "font.size": 10.0}
# Where a label may stand around its point, in points; the first that covers nothing is taken.
_PLACES = (
    (9, 0, "left"),
    (-9, 0, "right"),
    (0, 11, "center"),
    (0, -11, "center"),
    (9, 12, "left"),
    (9, -12, "left"),
    (-9, 12, "right"),
    (-9, -12, "right"),
    (0, 24, "center"),
    (0, -24, "center"),
    (8, -14, "right"),
    (8, 14, "right"),
    (8, -26, "right"),
    (-9, -26, "right"),
    (-9, 26, "right"),
)


@dataclass(frozen=True)
class Point:
    """The best mix for one budget.

    Attributes:
        bytes: of the artifact.
        predicted_worst: cosine of the worst text, by sums of single losses.
        predicted_mean: mean cosine, by sums of single losses.
        worst: cosine of the worst text, simulated.
        mean: mean cosine, simulated.
        amounts: option by group.
    """

    bytes: int
    predicted_worst: float
    predicted_mean: float
    worst: float
    mean: float
    amounts: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for a report."""
        return asdict(self)


def sweep(
    simulation: Simulation,
    offered: Mapping[str, Sequence[Option]],
    scanned: Sequence[Sensitivity],
    inputs: Sequence[Arguments],
    limits: Limits,
    *,
    count: int = 12,
    rules: Rules | None = None,
    rows: Rows | None = None,
) -> list[Point]:
    """The best mixes from the smallest size that is possible to the largest that is useful.

    Args:
        simulation: of the float32 graph.
        offered: options by group.
        scanned: what single options lose.
        inputs: what the mixes are simulated on; need not be what was scanned with.
        limits: objective, ratios and what is fixed; its own limit on bytes is not used.
        count: budgets to try, each by the same factor larger; those with the same answer give one
            point.
        rules: as for ``allocate``.
        rows: as for ``scan``.

    Raises:
        CheckFailed: the other limits cannot be held at any size.
    """
    free = replace(limits, bytes=None)
    smallest = allocate(scanned, replace(free, objective="bytes"), rules).bytes
    largest = allocate(scanned, free, rules).bytes
    picks: dict[tuple[str, ...], Allocation] = {}
    budgets = np.rint(np.geomspace(smallest, max(smallest, largest), count)).astype(int)
    for budget in budgets.tolist():
        pick = allocate(scanned, replace(free, bytes=budget), rules)
        picks.setdefault(tuple(pick.amounts.values()), pick)
    chosen = list(picks.values())
    found = losses(simulation, [merged(offered, pick.amounts) for pick in chosen], inputs, rows)
    return [
        Point(
            pick.bytes,
            pick.worst_cosine,
            pick.mean_cosine,
            1 - float(loss.max()),
            1 - float(loss.mean()),
            pick.amounts,
        )
        for pick, loss in zip(chosen, found, strict=True)
    ]


def draw(
    points: Sequence[Point],
    peers: Mapping[str, tuple[int, float]],
    path: Path,
    title: str = "Size and fidelity",
) -> None:
    """Draw size against the cosine of the worst text, as SVG. Same input, same bytes.

    Args:
        points: of one sweep.
        peers: other artifacts: name -> bytes, worst cosine.
        path: the file to write.
        title: above the picture.

    Raises:
        Unavailable: matplotlib is not installed.
        CannotWrite, StorageFull: the file cannot be written.
    """
    matplotlib, figures, canvases = map(_matplotlib, ("", ".figure", ".backends.backend_agg"))
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(7.2, 4.6), layout="constrained")
        canvas = canvases.FigureCanvasAgg(figure)  # knows how wide a text is
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontweight="bold")
        spots = _curves(axes, points)
        for name, (size, cosine) in peers.items():
            spot = (size / 1e6, _height(cosine))
            axes.plot(*spot, "D", mfc="white", mec=_PEERS, mew=1.6, ms=7, zorder=3)
            spots.append((name, spot, _PEERS))
        _axes(axes)
        figure.draw_without_rendering()
        _labels(axes, canvas.get_renderer(), spots)
        with as_write_errors(path.parent):
            figure.savefig(path, format="svg", metadata={"Date": None})


_Spot = tuple[str, tuple[float, float], str]


def _curves(axes: Any, points: Sequence[Point]) -> list[_Spot]:
    """The sweep's two lines; returns their labels with where they belong."""
    ordered = sorted(points, key=lambda point: point.bytes)
    if not ordered:
        return []
    sizes = [point.bytes / 1e6 for point in ordered]
    simulated = [_height(point.worst) for point in ordered]
    predicted = [_height(point.predicted_worst) for point in ordered]
    axes.plot(sizes, predicted, ":", color=_PREDICTED, lw=1.4, zorder=1)
    axes.plot(sizes, simulated, "o-", color=_OURS, lw=2.0, ms=5, zorder=2)
    middle = len(ordered) // 2
    return [
        ("mixed bits, simulated", (sizes[-1], simulated[-1]), _OURS),
        ("predicted", (sizes[middle], predicted[middle]), _PREDICTED),
    ]


def _height(cosine: float) -> float:
    """Logarithmic in the distance from 1: each step up is as much better as the last."""
    return float(-np.log10(max(1 - cosine, _NEAREST_ONE)))


def _axes(axes: Any) -> None:
    axes.margins(x=0.12, y=0.08)
    low, high = axes.get_ylim()
    ticks = [tick for tick in _TICKS if low <= _height(tick) <= high]
    axes.set_yticks([_height(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_ylim(low, high)
    axes.set_xlabel("size on disk, MB")
    axes.set_ylabel("cosine of the worst text")
    axes.grid(color="#DDDDDD", lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _labels(axes: Any, renderer: Any, spots: Sequence[_Spot]) -> None:
    """Write each label beside its point, clear of the others, of all points and lines."""
    taken = [line.get_transform().transform(line.get_xydata()) for line in axes.lines]
    dots = np.concatenate([_dense(pixels) for pixels in taken]) if taken else np.empty((0, 2))
    boxes: list[Any] = []
    frame = axes.get_window_extent(renderer)
    for text, spot, colour in spots:
        tried = []
        for across, up, side in _PLACES:
            label = axes.annotate(
                text,
                spot,
                (across, up),
                textcoords="offset points",
                color=colour,
                ha=side,
                va="center",
            )
            box = label.get_window_extent(renderer).padded(2)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            covers = sum(box.contains(*dot) for dot in dots) + 100 * box.count_overlaps(boxes)
            tried.append((covers + 1000 * (not inside), label, box))
        best = min(range(len(tried)), key=lambda place: tried[place][0])
        for place, (_, label, box) in enumerate(tried):
            if place == best:
                boxes.append(box)
            else:
                label.remove()


def _dense(pixels: Any) -> Any:
    """A line's pixels, close enough together that no label slips between two of them."""
    if len(pixels) < 2:
        return pixels
    steps = np.linspace(0, 1, 150)[:, None, None]
    return (pixels[:-1] * (1 - steps) + pixels[1:] * steps).reshape(-1, 2)


def _matplotlib(part: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib{part}")
    except ImportError as error:
        raise Unavailable(
            "drawing needs matplotlib", hint="pip install 'edgekit[convert]'"
        ) from error
