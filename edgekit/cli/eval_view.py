"""Lays out an evaluation: the table, changes, slices, harm and flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.cli import render
from edgekit.cli.output import Cell, Output

NONE = "-"


def run(
    output: Output,
    models: Sequence[str],
    least: Sequence[str],
    most_drop: Sequence[str],
    junit: Path | None,
    request: Mapping[str, Any],
) -> None:
    """Evaluate, show, judge.

    Raises:
        CheckFailed: a gate did not hold, or an output was not finite.
        EdgekitError: see ``edgekit.api.evaluate``.
    """
    from edgekit import api
    from edgekit.scoring import gates, saved
    from edgekit.scoring import junit as reports

    for option, lines in ((gates.LEAST, least), (gates.DROP, most_drop)):
        for line in lines:
            gates.parsed(option, line)
    if junit is not None:
        saved.require_writable(junit)
    with output.progress() as progress:
        document = api.evaluate(models, progress=progress, **request)
        judged = gates.judged(document, least, most_drop)
    if junit is not None:
        saved.write_bytes(junit, reports.document(document, judged))
    if output.as_json:
        output.document({**document, "gates": judged})
    else:
        show(output, document)
        _gates(output, judged)
    gates.refuse_not_finite(document)
    gates.refuse_failed(judged)


def show(output: Output, document: Mapping[str, Any]) -> None:
    """Everything that a person reads."""
    data = document["data"]
    output.text(f"{data['file']}: {data['kind']}, {data['scored']} of {data['rows']} rows scored")
    output.text()
    contestants = document["contestants"]
    _figures(output, contestants)
    _trade(output, contestants)
    _slices(output, contestants)
    _robustness(output, contestants)
    _flips(output, contestants)
    for remark in document["remarks"]:
        output.text(f"note: {remark}")


def _figures(output: Output, contestants: Sequence[Mapping[str, Any]]) -> None:
    rows: list[list[Cell]] = []
    for one in contestants:
        for at, figure in enumerate(one["figures"]):
            change = figure["change"]
            rows.append(
                [
                    one["name"] if at == 0 else "",
                    figure["metric"],
                    number(figure["value"]),
                    _interval(figure),
                    NONE if change is None else _signed(change["value"]),
                    NONE if change is None else _interval(change, "+"),
                    _verdict(figure),
                ]
            )
    columns = ["", "metric", "value", "95 % interval", "change", "95 % interval", "significant"]
    output.table(columns, rows, right=(2, 3, 4, 5))


def _verdict(figure: Mapping[str, Any]) -> Cell:
    change = figure["change"]
    if change is None:
        return NONE
    if not change["significant"]:
        return ("not", "dim")
    worse = change["value"] * figure["better"] < 0
    return ("worse", "bold red") if worse else ("better", "green")


def _trade(output: Output, contestants: Sequence[Mapping[str, Any]]) -> None:
    """Size and time beside the main metric."""
    rows: list[list[Cell]] = []
    for one in contestants:
        times, main = one["latency_ms"], one["figures"][0]
        over = _overhead(one)
        rows.append(
            [
                one["name"],
                one["scheme"],
                render.size(one["bytes"]),
                NONE if times is None else f"{times['median']:.2f}",
                NONE if times is None else f"{times['p90']:.2f}",
                NONE if over is None else f"{over:.0%}",
                f"{main['metric']} {number(main['value'])}",
            ]
        )
    columns = ["", "scheme", "size", "ms a row", "p90", "overhead", "score"]
    output.table(columns, rows, right=(2, 3, 4, 5))


def _overhead(one: Mapping[str, Any]) -> float | None:
    """What the pass took beyond the model itself, as a share of the model's time."""
    if not one["seconds"] or not one["model_seconds"]:
        return None
    return float(one["seconds"] * one.get("workers", 1) / one["model_seconds"] - 1)


def _slices(output: Output, contestants: Sequence[Mapping[str, Any]]) -> None:
    first = contestants[0]
    if not first["slices"]:
        return
    rows: list[list[Cell]] = []
    for at, part in enumerate(first["slices"]):
        values: list[Cell] = [number(one["slices"][at]["value"]) for one in contestants]
        rows.append([f"{part['by']}: {part['name']}", str(part["rows"]), *values])
    heads = [_letter(at) for at in range(len(contestants))]
    for letter, one in zip(heads, contestants, strict=True):
        output.text(f"{letter}: {one['name']}, {one['figures'][0]['metric']}")
    output.table(["part", "rows", *heads], rows, right=tuple(range(1, len(heads) + 2)))
    for one in contestants:
        if (part := one["worst_slice"]) is not None:
            output.text(
                f"worst part of {one['name']}: {part['by']} {part['name']}, "
                f"{number(part['value'])} on {part['rows']} rows"
            )
    output.text()


def _robustness(output: Output, contestants: Sequence[Mapping[str, Any]]) -> None:
    rows: list[list[Cell]] = []
    for one in contestants:
        for at, harm in enumerate(one["robustness"]):
            sure = harm["drop"] is not None and harm["significant"]
            rows.append(
                [
                    one["name"] if at == 0 else "",
                    harm["harm"],
                    str(harm["rows"]),
                    number(harm["before"]),
                    number(harm["value"]),
                    NONE if harm["drop"] is None else _signed(harm["drop"]),
                    "significant" if sure else "not",
                ]
            )
    if rows:
        columns = ["", "harm", "rows", "before", "after", "drop", ""]
        output.table(columns, rows, right=(2, 3, 4, 5))


def _flips(output: Output, contestants: Sequence[Mapping[str, Any]]) -> None:
    for one in contestants:
        flips = one["flips"]
        if not flips or not any(flips["counts"].values()):
            continue
        counts = ", ".join(f"{count} {what}" for what, count in flips["counts"].items())
        output.text(f"changed answers of {one['name']}: {counts}")
        for example in flips["examples"]:
            output.text(
                f"  row {example['row']}, {example['what']}: {example['first']!r} -> "
                f"{example['this']!r}, wanted {example['wanted']!r}"
            )
            output.text(f"    {' '.join(str(example.get('text', '')).split())}")
        output.text()


def _gates(output: Output, judged: Sequence[Mapping[str, Any]]) -> None:
    for gate in judged:
        verdict = "ok" if gate["passed"] else "FAILED"
        output.text(f"gate {gate['gate']}: {gate['contestant']} {number(gate['found'])} {verdict}")


def number(value: float | None) -> str:
    """A figure with four digits."""
    if value is None:
        return NONE
    value = round(value, 4) + 0.0  # what rounds to nothing has no minus
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def _interval(figure: Mapping[str, Any], sign: str = "") -> str:
    if figure["low"] is None:
        return NONE
    low, high = round(figure["low"], 4) + 0.0, round(figure["high"], 4) + 0.0
    return f"{low:{sign}.4f} to {high:{sign}.4f}"


def _signed(value: float) -> str:
    """A difference with its sign; one that rounds to nothing has none below it."""
    return f"{round(value, 4) + 0.0:+.4f}"


def _letter(at: int) -> str:
    return chr(ord("A") + at) if at < 26 else str(at + 1)
