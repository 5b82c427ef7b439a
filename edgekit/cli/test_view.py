"""Shows what ``edgekit test`` found: a line a check, then what failed and what was not tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit.cli.output import Cell, Output
from edgekit.cli.progress import seconds
from edgekit.cli.render import NONE, cosine, size

if TYPE_CHECKING:
    from edgekit.testing.labelled import Share
    from edgekit.testing.report import Check, Visit

_STYLES = {
    "passed": ("ok", "green"),
    "failed": ("DIFFERS", "bold red"),
    "error": ("ERROR", "bold red"),
    "skipped": ("not run", "yellow"),
}


def show(output: Output, visits: Sequence[Visit]) -> None:
    """The whole report, short enough for a screen; a place that was not reached has none."""
    reached = [visit for visit in visits if visit.environment]
    several = len(visits) > 1
    for visit in reached:
        _heading(output, visit)
    goldens = [(v, c) for v in reached for c in v.checks if c.samples == "goldens"]
    if goldens:
        _goldens(output, goldens, several=several)
    labelled = [(v, c) for v in reached for c in v.checks if c.samples == "labelled"]
    if labelled:
        _labelled(output, labelled, several=several)
    for visit in reached:
        _reasons(output, visit, f"{_short(visit)}: " if several else "")


def _heading(output: Output, visit: Visit) -> None:
    output.text(visit.place)
    told = visit.environment
    words = []
    if visit.kind == "phone" and told:
        words = [str(told.get("soc") or ""), f"Android {told.get('android')}"]
        words += [f"API {told.get('sdk')}", ", ".join(told.get("abis") or ())[:40]]
    if visit.kind == "emulated":
        words = ["emulated: the answers count, the times do not"]
    if words:
        output.text(f"    {', '.join(word for word in words if word)}")
    if copied := visit.copied:
        there = f"; {copied['resumed']} there already" if copied["resumed"] else ""
        output.text(
            f"    copied {copied['files'] - copied['resumed']} files, {size(copied['sent'])} in "
            f"{copied['seconds']:.1f} s, {copied['checksum']} checked on the phone{there}"
        )
    for remark in visit.remarks:
        output.text(f"    note: {remark}")
    output.text(f"    {seconds(visit.seconds)} in all")


def _goldens(output: Output, rows: Sequence[tuple[Visit, Check]], *, several: bool) -> None:
    columns = [
        "artifact",
        "goldens",
        "worst",
        "mean",
        "SNR dB",
        "same answer",
        "as made",
        "time",
        "",
    ]
    cells = [[*_place(visit, several), *_golden(check)] for visit, check in rows]
    output.table(["place", *columns] if several else columns, cells, right=_right(several, 1, 8))


def _golden(check: Check) -> list[Cell]:
    hop = check.hop
    if hop is None:
        return [check.artifact, *[NONE] * 6, _time(check), _STYLES[check.status]]
    return [
        check.artifact,
        str(hop.samples),
        cosine(hop.worst_cosine),
        cosine(hop.mean_cosine),
        "identical" if hop.snr_db is None else f"{hop.snr_db:.1f}",
        f"{hop.agreement:.1%}",
        NONE if hop.same_artifact is None else cosine(hop.same_artifact),
        _time(check),
        _STYLES[check.status],
    ]


def _labelled(output: Output, rows: Sequence[tuple[Visit, Check]], *, several: bool) -> None:
    columns = ["artifact", "labelled", "accuracy (95 %)", "macro F1 (95 %)", "time", ""]
    cells = [[*_place(visit, several), *_score(check)] for visit, check in rows]
    output.table(["place", *columns] if several else columns, cells, right=_right(several, 1, 5))


def _score(check: Check) -> list[Cell]:
    score = check.score
    if score is None:
        return [check.artifact, *[NONE] * 3, _time(check), _STYLES[check.status]]
    shares = [_share(score.accuracy), _share(score.macro_f1)]
    return [check.artifact, str(score.samples), *shares, _time(check), _STYLES[check.status]]


def _share(share: Share) -> str:
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _time(check: Check) -> str:
    return NONE if check.skipped else f"{check.seconds:.1f} s"


def _place(visit: Visit, several: bool) -> list[Cell]:
    return [_short(visit)] if several else []


def _short(visit: Visit) -> str:
    return visit.serial or visit.place


def _right(several: bool, first: int, end: int) -> range:
    return range(first + several, end + several)


def _reasons(output: Output, visit: Visit, where: str) -> None:
    """What was not tried, and failures beside the one that the command ends with."""
    for reason in dict.fromkeys(check.skipped for check in visit.checks if check.skipped):
        names = ", ".join(check.artifact for check in visit.checks if check.skipped == reason)
        output.text(f"not run: {where}{names}: {reason}")
    told = {visit.failure.message} if visit.failure is not None else set()
    for error in (check.error for check in visit.checks if check.error):
        if error.message not in told:
            told.add(error.message)
            output.text(f"{error.code}: {where}{error.message}")
