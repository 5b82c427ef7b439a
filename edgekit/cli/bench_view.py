"""Shows a bench on one screen, as Markdown or CSV, and a comparison of two."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Cell, Output
from edgekit.cli.render import NONE, size
from edgekit.errors import RegressionFound

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bench.compare import Comparison
    from edgekit.bench.record import Record

Row = Mapping[str, Any]

SCREEN = 40
_WIDEST = 78
_COLUMNS = ("", "tokens", "thr", "n", "median", "95 % CI", "p90", "p99", "CV", "valid")
_DECODER = ("", "what", "thr", "n", "median", "95 % CI", "p95", "tok/s", "CV", "valid")
_LOADS = ("", "first load", "later", "peak memory", "PSS", "forecast", "ratio")
_WORSE = {"slower": "MORE", "faster": "less"}
_FIGURES = ("n", "median", "low", "high", "p90", "p95", "p99", "minimum", "cv", "tokens_per_second")


def show(output: Output, record: Record, path: Path, form: str, against: Comparison | None) -> None:
    """The report of a bench in the form that was asked for.

    Args:
        output: where to.
        record: the record, complete.
        path: its file.
        form: ``json``, ``csv``, ``markdown`` or ``screen``.
        against: the comparison with a baseline, where one was given.
    """
    if form == "json":
        more = {} if against is None else {"baseline": against.as_dict()}
        output.document({**record.model_dump(mode="json"), **more, "record": str(path)})
    elif form == "csv":
        output.script(as_csv(record))
    elif form == "markdown":
        output.script(as_markdown(record))
    else:
        _screen(output, record, path)
        if against is not None:
            output.text("against the baseline:")
            comparison(output, against)


def failed(output: Output, failure: RegressionFound, against: Comparison) -> None:
    """Show all rows before a regression ends the command: they are the result asked for."""
    if output.as_json:
        output.document({**against.as_dict(), "error": failure.as_dict()})
    else:
        comparison(output, against)


def comparison(output: Output, found: Comparison) -> None:
    """One row a series; the words are the verdict."""
    rows: list[list[Cell]] = []
    for row in found.rows:
        verdict = row.verdict
        word = verdict.word
        style = {"slower": "bold red", "faster": "green"}.get(word, "")
        shown = _WORSE.get(word, word) if row.series == "peak memory" else word
        span = NONE if verdict.low is None else f"{verdict.low:.2f}-{verdict.high:.2f}"
        ratio = NONE if verdict.ratio is None else f"{verdict.ratio:.3f}x"
        rows.append([row.what, row.series, ratio, span, (shown, style), verdict.reason])
    columns = ["setting", "series", "ratio", "95 % interval", "verdict", "why"]
    output.table(columns, rows, right=(2, 3))
    for line in found.overlooked:
        output.text(f"overlooked: {line}")
    if found.conditions:
        output.text(found.conditions)


def _screen(output: Output, record: Record, path: Path) -> None:
    letters = {c.id: letter for c, letter in zip(record.candidates, _letters(), strict=False)}
    head = _wrapped([*_head(record), *_legend(record, letters)])
    tail = [*_left_out(record), *_energy(record, letters), *_comparison_lines(record)]
    tail = [*_wrapped([*tail, *record.warnings]), f"record: {path}"]
    rows = [_latency(row, letters) for row in record.summary.get("latency", ())]
    loads = [_load(row, letters) for row in record.summary.get("artifacts", ())]
    room = max(4, SCREEN - len(head) - len(tail) - len(loads) - 8)
    for line in head:
        output.text(line)
    output.text()
    columns = _COLUMNS if record.plan.tokens is None else _DECODER
    output.table(columns, rows[:room], right=range(1, len(columns)))
    if len(rows) > room:
        output.text(f"and {len(rows) - room} more settings: in the record, with --csv, --markdown")
    output.table(_LOADS, loads, right=range(1, len(_LOADS)))
    for line in tail:
        output.text(line)


def _head(record: Record) -> list[str]:
    plan = record.plan
    kind = "quick" if plan.quick else "full"
    state = "" if record.complete else " NOT COMPLETE:"
    lines = [
        f"bench{state} {len(record.settings)} settings, {plan.rounds} blocks each, interleaved, "
        f"seed {plan.seed}",
        f"on {record.place} ({record.place_kind}), {record.started}, edgekit "
        f"{record.software.get('edgekit', '')}",
        f"{kind} run: {plan.warm_ups} warm-ups, then >= {plan.runs} runs and "
        f">= {plan.seconds:g} s a setting; times in ms",
    ]
    if facts := _facts(record):
        lines.insert(2, facts)
    if plan.tokens is not None:
        lines.append(
            f"prefill: a prompt up to its first token; decode: one token to the next, answers of "
            f"{plan.tokens}"
        )
    if conditions := record.summary.get("conditions"):
        lines.append(f"CONDITIONS: {conditions}")
    return lines


def _facts(record: Record) -> str:
    """The machine, and how it was at the start and at the end, in one line."""
    told = record.environment
    cores = told.get("cores")
    facts = [str(told[name]) for name in ("soc", "kernel") if told.get(name)]
    if told.get("android"):
        facts.insert(1, f"Android {told['android']}")
    if isinstance(cores, list | tuple) and cores:
        facts.insert(1, f"{len(cores)} processors")
    if record.blocks:
        first, last = record.blocks[0].before, record.blocks[-1].after
        if first.get("battery_percent") is not None:
            facts.append(f"battery {first['battery_percent']} to {last.get('battery_percent')} %")
        if first.get("thermal_status") is not None:
            facts.append(
                f"thermal status {first['thermal_status']} to {last.get('thermal_status')}"
            )
    return ", ".join(facts)


def _legend(record: Record, letters: Mapping[str, str]) -> list[str]:
    return [
        f"{letters.get(c.id, '?')} = {c.id}: {c.runtime}, {c.scheme}, {c.delegate}, {size(c.bytes)}"
        + (f", {c.texts} texts a pass" if c.texts > 1 else "")
        for c in record.candidates
    ]


def _latency(row: Row, letters: Mapping[str, str]) -> list[Cell]:
    count: Cell = f"{row['valid_blocks']}/{row['blocks']}"
    if not row["valid"]:
        count = ("INVALID", "bold red")
    elif not row["speed"]:
        count = ("no speed", "yellow")
    name = letters.get(row["artifact"], "?")
    decoder = row["series"] != "latency"
    length = f"{row['series']} {row['length']}" if decoder else str(row["length"])
    where: list[Cell] = [name, length, str(row["threads"] or NONE)]
    if "median" not in row:
        return [*where, "0", *[NONE] * 5, count]
    return [
        *where,
        str(row["n"]),
        _ms(row["median"]),
        f"{_ms(row['low'])}-{_ms(row['high'])}",
        *_spread(row, decoder),
        f"{row['cv']:.1%}",
        count,
    ]


def _spread(row: Row, decoder: bool) -> list[Cell]:
    if not decoder:
        return [_ms(row["p90"]), _ms(row["p99"])]
    # Emulated tokens have no speed.
    rate = f"{row['tokens_per_second']:.0f}" if row["speed"] else NONE
    return [_ms(row["p95"]), rate]


def _load(row: Row, letters: Mapping[str, str]) -> list[Cell]:
    ratio = row["peak_to_forecast"]
    first: Cell = _ms(row["cold_load_ms"])
    if not row["loads_valid"] and row["cold_load_ms"] is not None:
        first = (f"{first} INVALID", "bold red")
    return [
        letters.get(row["artifact"], "?"),
        first,
        _ms(row["warm_load_ms"]),
        size(row["peak_bytes"]),
        size(row["pss_bytes"]),
        size(row["forecast_bytes"]),
        NONE if ratio is None else f"{ratio:.2f}x",
    ]


def _left_out(record: Record) -> list[str]:
    found = record.summary.get("left_out", {})
    if not found.get("blocks"):
        if record.place_kind == "emulated":
            return ["every block ran to its end; none is a speed"]
        return ["every block counts"] if record.blocks else []
    lines = [f"left out: {found['blocks']} of {found['of']} blocks"]
    shown = found["reasons"][:3]
    lines += [f"  {row['blocks']}x {row['example']}" for row in shown]
    if len(found["reasons"]) > len(shown):
        lines.append(f"  and {len(found['reasons']) - len(shown)} more reasons, in the record")
    return lines


def _energy(record: Record, letters: Mapping[str, str]) -> list[str]:
    if record.place_kind != "phone":
        return []
    told = []
    for row in record.summary.get("latency", ()):
        energy = row.get("energy", {})
        if "microampere_hours" in energy:
            joules = energy.get("millijoules")
            amount = f"{energy['microampere_hours']:.3g} uAh"
            amount += "" if joules is None else f" ({joules:.3g} mJ)"
            series = "" if row["series"] == "latency" else f"{row['series']} "
            told.append(
                f"{letters.get(row['artifact'], '?')} {series}{row['length']} tokens {amount}"
            )
    if told:
        return [f"energy of an inference, whole phone: {'; '.join(told[:3])}"]
    said = {row.get("energy", {}).get("said", "") for row in record.summary.get("latency", ())}
    return [f"energy: {'; '.join(sorted(filter(None, said)))}"] if any(said) else []


def _comparison_lines(record: Record) -> list[str]:
    rows = record.summary.get("comparison", ())
    return [row["sentence"] for row in rows[:3]]


def rows_of(record: Record) -> list[dict[str, Any]]:
    """The latency rows of a record with what they were measured on, flat, for tables."""
    return [
        {
            "place": record.place,
            "kind": record.place_kind,
            "artifact": row["artifact"],
            "series": row["series"],
            "texts": record.candidate(row["artifact"]).texts,
            "tokens": row["length"],
            "threads": row["threads"],
            **{name: row.get(name) for name in _FIGURES},
            "blocks": row["blocks"],
            "valid_blocks": row["valid_blocks"],
            "valid": row["valid"],
            "speed": row["speed"],
            "conditions": record.summary.get("conditions", ""),
        }
        for row in record.summary.get("latency", ())
    ]


def as_csv(record: Record) -> str:
    """One line a setting, times in ms."""
    rows = rows_of(record)
    text = io.StringIO()
    names = list(rows[0]) if rows else ["place"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(record: Record) -> str:
    """The report as Markdown, with every figure of the table."""
    lines = [f"## Bench on {_plain(record.place)} ({record.place_kind})", ""]
    lines += [f"- {_plain(line)}" for line in _head(record)]
    lines += ["", *_markdown(rows_of(record), skip=("place", "kind", "conditions")), ""]
    artifacts = record.summary.get("artifacts", ())
    lines += [*_markdown(artifacts), ""]
    tail = [*_left_out(record), *_comparison_lines(record), *record.warnings]
    lines += [f"- {_plain(line.strip())}" for line in tail]
    return "\n".join(lines) + "\n"


def _markdown(rows: Sequence[Row], skip: Sequence[str] = ()) -> list[str]:
    if not rows:
        return []
    names = [name for name in rows[0] if name not in skip]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        lines.append(f"| {' | '.join(_plain(_cell(row.get(name))) for name in names)} |")
    return lines


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """A text that cannot end a cell or a line of Markdown."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _ms(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, _WIDEST, subsequent_indent="    ") or [""]
    ]


def _letters() -> list[str]:
    return [*ascii_uppercase, *(a + b for a in ascii_uppercase for b in ascii_uppercase)]
