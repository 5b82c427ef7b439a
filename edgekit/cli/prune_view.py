"""Shows prunings: what was saved and what it cost, beside the random control; and scans."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import Cell, Output
from edgekit.cli.render import NONE, size

if TYPE_CHECKING:
    from edgekit.api.prune import PrunedFolder, Scan

_NOT_FOR_SCANS = ("out", "force")
_ONLY_FOR_SCANS = ("amounts", "plot")


class _Amounts(click.ParamType[tuple[float, ...]]):
    """Numbers separated by commas."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Split; what is no number is a usage error, a number out of range the library's."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 0.25,0.5", param, ctx)


AMOUNTS = _Amounts()


def names(kind: str) -> list[str]:
    """Words that a shell can complete."""
    from edgekit.api.prune import prune_names

    return list(prune_names(kind))


def job(scan: bool, request: dict[str, Any]) -> Callable[..., Any]:
    """What was asked for: a pruning or a scan; ``request`` keeps only what that takes."""
    from edgekit.api import prune as api
    from edgekit.errors import SpecError

    other = _NOT_FOR_SCANS if scan else _ONLY_FOR_SCANS
    said = [name for name in other if request.pop(name, None)]
    if said and not scan:
        raise SpecError(f"--{said[0]} belongs to a scan", hint="Add --scan, or leave it out.")
    if said:
        word = "-o" if said[0] == "out" else f"--{said[0]}"
        raise SpecError(f"a scan writes no folder, so {word} means nothing", hint="Leave it out.")
    return api.prune_scan if scan else api.prune


def show(output: Output, made: Any) -> None:
    """The result, a pruned folder or a scan: tables, or one JSON document."""
    if hasattr(made, "rows"):
        _scan(output, made)
        return
    folder: PrunedFolder = made
    if output.as_json:
        output.document({"folder": str(folder.path), "record": folder.record})
    else:
        _summary(output, folder.record)
        output.text(f"folder: {folder.path}")
        output.text(f"next:   {shlex.join(['edgekit', 'export', str(folder.path)])}")


def _summary(output: Output, record: Mapping[str, Any]) -> None:
    before, after = record["sizes"]["before"], record["sizes"]["after"]
    times = record["latency"]
    rows: list[list[Cell]] = [
        ["parameters", f"{before['parameters']}", f"{after['parameters']}"],
        ["of them zero", f"{before['zeros']}", f"{after['zeros']}"],
        ["weights file", size(before["file"]), size(after["file"])],
        ["its download, deflated", size(before["download"]), size(after["download"])],
        [f"ms, {times['of']}", f"{times['before']:.2f}", f"{times['after']:.2f}"],
    ]
    rows += [[key, "", str(value)] for key, value in record["shape"].items()]
    output.table(["", "before", "after"], rows, right=(1, 2))
    _quality(output, record["quality"])
    if "vocabulary" in record:
        _vocabulary(output, record["vocabulary"])
    if reason := times.get("not exported"):
        output.text(f"PyTorch was timed, not an artifact: {reason}")
    output.text(record["verdict"])


def _quality(output: Output, quality: Mapping[str, Any]) -> None:
    control = quality["control"] or {}
    columns = {
        "original": quality["original"],
        "pruned": quality["before training"],
        "trained": quality["after training"],
        "random": control.get("before training"),
        "random, trained": control.get("after training"),
    }
    shown = {name: figures for name, figures in columns.items() if figures is not None}
    figures = list(quality["result"])
    lines: list[list[Cell]] = [
        [name, *(_figure(column.get(name)) for column in shown.values())] for name in figures
    ]
    output.table(["quality", *shown], lines, right=tuple(range(1, len(shown) + 1)))


def _vocabulary(output: Output, found: Mapping[str, Any]) -> None:
    output.text(
        f"vocabulary: {found['before']} -> {found['after']} tokens; on held-out texts "
        f"{found['coverage']:.2%} of tokens are kept, unknown {found['unknown before']:.2%} -> "
        f"{found['unknown after']:.2%}, {found['longer']:.3f} tokens for one before, "
        f"{found['unchanged']:.1%} of texts cut as before"
    )


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _scan(output: Output, made: Scan) -> None:
    if output.as_json:
        output.document(made.as_dict())
        return
    rows: list[list[Cell]] = [
        [row.group, row.amount, size(row.bytes), f"{row.mean:.5f}", f"{row.worst:.5f}"]
        for row in sorted(made.rows, key=lambda row: -row.mean)
    ]
    output.table(["group", "removed", "left", "mean loss", "worst"], rows, right=(1, 2, 3, 4))
