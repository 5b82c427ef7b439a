"""Shows ledgers: what was done to each tensor, what it cost, and why one was left alone."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgekit.cli.output import Cell, Output
from edgekit.cli.render import NONE, cosine, size
from edgekit.targets import TARGETS

if TYPE_CHECKING:
    from edgekit.api import QuantizedFolder

Row = Mapping[str, Any]

WORST = 5
FP32 = 32
SIMULATED = "simulated"


def table(output: Output, rows: Sequence[Row]) -> None:
    """One line a tensor, those that lose most first."""
    columns = ["tensor", "kind", "rows x columns", "scheme", "before", "after"]
    output.table(
        [*columns, "weight dB", "output dB", "why"],
        [_line(row) for row in sorted(rows, key=_order)],
        right=(2, 4, 5, 6, 7),
    )


def of_plan(opened: QuantizedFolder) -> dict[str, Any]:
    """The ledger of a plan in the form that a bundle's report has."""
    rows = [row.model_dump() for row in opened.plan.ledger]
    return {"coverage": opened.plan.facts.coverage, "ledger": rows}


def whole(output: Output, found: Row) -> None:
    """Every row of a ledger, and how much was quantized."""
    if not found:
        output.text("This bundle has no ledger: an older edgekit made it.")
        return
    table(output, found["ledger"])
    output.text(f"coverage: {share(found['coverage'])} of the quantizable bytes")


def summary(output: Output, opened: QuantizedFolder) -> None:
    """A plan in a dozen lines: what was done, what it saves, what it costs and where."""
    facts = opened.plan.facts
    rows = of_plan(opened)["ledger"]
    simulated = [hop for hop in facts.quality if hop.hop == SIMULATED]
    lines = {
        "scheme": f"{facts.scheme} ({_methods(opened)})",
        "coverage": f"{share(facts.coverage)} of the quantizable bytes",
        "weights": f"{size(facts.fp32_bytes)} -> {size(facts.forecast_bytes)}"
        f" ({share(facts.forecast_bytes / max(facts.fp32_bytes, 1))} of fp32, forecast)",
        "calibration": _calibration(opened),
        "left alone": _left(rows),
    }
    for hop in simulated:
        lines["worst cosine"] = f"{cosine(hop.worst_cosine)} (simulated, {hop.samples} texts)"
        floors = f"floors {hop.floor_worst} / {hop.floor_mean}"
        lines["mean cosine"] = f"{cosine(hop.mean_cosine)} ({floors})"
    for hop in facts.quality:
        if hop.artifact:
            found = f"worst {cosine(hop.worst_cosine)}, mean {cosine(hop.mean_cosine)}"
            lines["built, run"] = f"{found} ({hop.artifact}, {hop.samples} texts)"
    lines["predicted"] = _predicted(opened)
    lines["time"] = _time(opened)
    output.table(["", ""], [[name, text] for name, text in lines.items() if text])
    lossy = [row for row in rows if _loss(row) is not None]
    if lossy:
        output.text(f"the {min(WORST, len(lossy))} tensors that lose most:")
        table(output, sorted(lossy, key=_order)[:WORST])


def next_command(opened: QuantizedFolder) -> str:
    """The command that makes a bundle of the folder, with what its plan needs."""
    words = ["edgekit", "export", str(opened.path)]
    bits = {row.bits for row in opened.plan.ledger}
    (target, *_) = TARGETS.values()
    able = [
        runtime
        for runtime, (delegate, *_) in target.delegates.items()
        if bits <= {*target.bits[runtime, delegate], FP32}
    ]
    if len(able) < len(target.delegates):
        words += ["--runtime", ",".join(able)]
    return shlex.join(words)


def record(opened: QuantizedFolder) -> dict[str, Any]:
    """A quantized folder for ``--json``."""
    return {"folder": str(opened.path), "plan": opened.plan.model_dump(mode="json")}


def share(value: float) -> str:
    """A share in per cent with a digit behind the point, cut: 99.96 % must not read as all."""
    return f"{math.floor(value * 1000) / 10:.1f}%"


def _line(row: Row) -> list[Cell]:
    left = row["bits"] == FP32
    return [
        row["tensor"],
        row["kind"],
        f"{row['rows']} x {row['columns']}",
        (row["scheme"], "dim" if left else ""),
        size(row["bytes_before"]),
        size(row["bytes_after"]),
        *(NONE if row[name] is None else f"{row[name]:.1f}" for name in ("weight_db", "output_db")),
        row["reason"],
    ]


def _order(row: Row) -> tuple[float, str]:
    """Worst first; what lost nothing comes last."""
    loss = _loss(row)
    return (math.inf if loss is None else loss, row["tensor"])


def _loss(row: Row) -> float | None:
    """The output's error where it was measured, else the weight's."""
    loss: float | None = row["output_db"]
    return row["weight_db"] if loss is None else loss


def _methods(opened: QuantizedFolder) -> str:
    facts = opened.plan.facts
    named = [name for name in (facts.scaling, facts.rounding) if name != "none"]
    tweaked = [f"{facts.tweak} steps of norm tweaking"] if facts.tweak else []
    return ", ".join([*named, *(["outliers split"] if facts.split else []), *tweaked])


def _calibration(opened: QuantizedFolder) -> str:
    used = opened.plan.facts.calibration
    origin = "built-in texts" if used.built_in else "texts"
    unknown = f", {share(used.unknown)} of them unknown" if used.unknown else ""
    cut = f", {used.cut} texts cut" if used.cut else ""
    return f"{used.count} {origin}, {used.tokens} tokens{unknown}{cut}"


def _predicted(opened: QuantizedFolder) -> str:
    search = opened.plan.facts.search
    if search is None:
        return ""
    tries = "1 try" if search.tries == 1 else f"{search.tries} tries"
    return (
        f"worst {cosine(search.predicted_worst)}, mean {cosine(search.predicted_mean)} "
        f"(correlation with measured mixes {search.worst_correlation:.2f}; {tries})"
    )


def _time(opened: QuantizedFolder) -> str:
    search = opened.plan.facts.search
    found = None if search is None else search.time
    if found is None:
        return ""
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    return (
        f"predicted {found.predicted:.2f} ms, measured {found.measured:.2f}, limit "
        f"{found.limit:.2f}, fp32 {found.fp32:.2f} ({found.tokens} tokens, {threads} of this "
        "machine's processor; not a phone's)"
    )


def _left(rows: Sequence[Row]) -> str:
    reasons: dict[str, int] = {}
    for row in rows:
        if row["bits"] == FP32:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    tensors = "; ".join(f"{count}: {reason}" for reason, count in reasons.items())
    return tensors or "nothing"
