"""Size against quality, latency as colour: SVG that reads in print, in the dark, in grey."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Replaced by the page's own colour of text.
_INK = "#010203"
_SHAPES = {"eager": "s", "executorch": "o", "onnx": "^"}
_OTHER_SHAPE = "D"
# What XML 1.0 has no way to write.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 60
# Points nearer than this share of the plot's width share their letters' room.
_NEAR = 0.08
_LEFT, _RIGHT = (-16, 8), (8, 8)


def points(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Contestants with a size and a score, and whether another is both smaller and better."""
    found = []
    for one in document["contestants"]:
        figure = one["figures"][0]
        if one["bytes"] and figure["value"] is not None:
            times = one.get("latency_ms")
            found.append(
                {
                    "name": one["name"],
                    "runtime": one["runtime"],
                    "bytes": one["bytes"],
                    "metric": figure["metric"],
                    "better": figure.get("better", 1),
                    "value": figure["value"],
                    "low": figure.get("low"),
                    "high": figure.get("high"),
                    "ms": times["median"] if times else None,
                }
            )
    for one in found:
        one["best"] = not any(_beats(other, one) for other in found)
    return found


def pareto(document: Mapping[str, Any]) -> str | None:
    """The plot of one evaluation as SVG text; None where fewer than two points are known.

    Shapes tell runtimes apart and letters name the points, so colour only adds.
    """
    known = points(document)
    if len(known) < 2:
        return None
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "edgekit",
        "font.family": "sans-serif",
        "text.parse_math": False,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), _INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), _INK),
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.6, 5.2), layout="constrained")
        FigureCanvasSVG(figure)
        _draw(figure, known)
        made = io.StringIO()
        figure.savefig(made, format="svg", transparent=True, metadata={"Date": None})
    return _inline(made.getvalue())


def _draw(figure: Any, known: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    axes = figure.add_subplot()
    times = [one["ms"] for one in known if one["ms"] is not None]
    colours = _colours(times)
    places = letter_places([one["bytes"] for one in known])
    for at, one in enumerate(known):
        low, high = one["low"], one["high"]
        size = one["bytes"] / 1e6
        if low is not None and high is not None:
            axes.plot([size, size], [low, high], color=_INK, linewidth=1, alpha=0.5, zorder=1)
        axes.scatter(
            [size],
            [one["value"]],
            marker=_SHAPES.get(one["runtime"], _OTHER_SHAPE),
            s=90,
            c=[colours.to_rgba(one["ms"])] if colours and one["ms"] is not None else "#999999",
            edgecolors=_INK,
            linewidths=1.5 if one["best"] else 0.5,
            zorder=2,
        )
        axes.annotate(_letter(at), (size, one["value"]), places[at], textcoords="offset points")
    front = sorted((one["bytes"] / 1e6, one["value"]) for one in known if one["best"])
    axes.plot(*zip(*front, strict=True), color=_INK, linestyle=":", linewidth=1, zorder=0)
    better = known[0]["better"] > 0
    axes.set_xlabel("size, MB (less is better)")
    axes.set_ylabel(f"{known[0]['metric']} ({'more' if better else 'less'} is better)")
    axes.margins(x=0.15, y=0.15)
    axes.set_xlim(left=0)
    keys = [
        Line2D(
            [],
            [],
            linestyle="",
            label=f"{_letter(at)}: {_NOT_XML.sub(chr(0xFFFD), one['name'])[:_LONGEST]}",
        )
        for at, one in enumerate(known)
    ]
    figure.legend(
        handles=keys, loc="outside lower center", frameon=False, handlelength=0, fontsize=8
    )
    if colours:
        figure.colorbar(colours, ax=axes, label="median milliseconds a row, here")


def letter_places(sizes: Sequence[float]) -> list[tuple[int, int]]:
    """Where each letter stands from its point, in points: of neighbours the left one's is left.

    Args:
        sizes: of the points, in their order.
    """
    order = sorted(range(len(sizes)), key=lambda at: (sizes[at], at))
    groups: list[list[int]] = []
    for at in order:
        if groups and sizes[at] - sizes[groups[-1][-1]] < _NEAR * max(sizes):
            groups[-1].append(at)
        else:
            groups.append([at])
    found = [_RIGHT] * len(sizes)
    for group in groups:
        for inner, at in enumerate(group[1:-1]):
            # One above and one below, further away with each pair.
            away = 10 + 12 * (inner // 2)
            found[at] = (-4, away if inner % 2 == 0 else -away - 8)
        if len(group) > 1:
            found[group[0]] = _LEFT
    return found


def _letter(at: int) -> str:
    return chr(ord("A") + at) if at < 26 else str(at + 1)


def _colours(times: Sequence[float]) -> Any:
    """A scale that also reads in grey and to the colour-blind; None without times."""
    if not times:
        return None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0.0, max(times)), "cividis")


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one is no larger and no worse, and better in either."""
    quality = one["better"] * (one["value"] - other["value"])
    room = other["bytes"] - one["bytes"]
    return bool(quality >= 0 and room >= 0 and (quality > 0 or room > 0))


def _inline(svg: str) -> str:
    """Without what only a file of its own needs."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return body.replace(_INK, "currentColor")
