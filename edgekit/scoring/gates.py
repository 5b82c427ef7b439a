"""Limits that a score must keep: ``metric=value`` for the least, and for the most that is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from edgekit.errors import CheckFailed, SpecError

LEAST, DROP = "--min", "--max-drop"


def parsed(option: str, line: str) -> tuple[str, float]:
    """A metric and a number.

    Raises:
        SpecError: the line is not of that form.
    """
    name, equals, number = line.rpartition("=")
    try:
        value = float(number) if equals and name.strip() else float("nan")
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise SpecError(
            f"{option} {line!r} is not METRIC=NUMBER", hint=f"Such as {option} accuracy=0.9"
        )
    return name.strip(), value


def judged(
    document: Mapping[str, Any], least: Sequence[str], most_drop: Sequence[str]
) -> list[dict[str, Any]]:
    """Every gate against every contestant.

    Args:
        document: of an evaluation.
        least: ``metric=value``: at least so much; at most, where less is better.
        most_drop: ``metric=value``: no more lost than so much against the first contestant.

    Returns:
        A record a gate and contestant: ``gate``, ``contestant``, ``found``, ``passed``.

    Raises:
        SpecError: a malformed line, an unknown metric, or a drop with nothing to hold against.
    """
    found = []
    contestants = document["contestants"]
    for line in least:
        name, value = parsed(LEAST, line)
        for one in contestants:
            figure = _figure(one, name)
            got = figure["value"]
            held = got is not None and figure["better"] * (got - value) >= 0
            found.append(_record(f"{LEAST} {line}", one, got, held))
    for line in most_drop:
        name, value = parsed(DROP, line)
        if len(contestants) < 2:
            raise SpecError(
                f"{DROP} needs something to hold against",
                hint="Name the model first, or pass --baseline.",
            )
        for one in contestants[1:]:
            figure = _figure(one, name)
            change = figure["change"]
            drop = None if change is None else -figure["better"] * change["value"] + 0.0
            held = drop is not None and drop <= value
            found.append(_record(f"{DROP} {line}", one, drop, held))
    return found


def refuse_failed(gates: Sequence[Mapping[str, Any]]) -> None:
    """Raise when a gate did not hold.

    Raises:
        CheckFailed: naming every line that failed.
    """
    failed = [gate for gate in gates if not gate["passed"]]
    if failed:
        lines = "; ".join(
            f"{g['gate']}: {g['contestant']} has {_shown(g['found'])}" for g in failed
        )
        raise CheckFailed(
            f"a gate did not hold: {lines}",
            hint="The table has every figure with its interval.",
            gates=[dict(gate) for gate in gates],
        )


def refuse_not_finite(document: Mapping[str, Any]) -> None:
    """Raise when an output was not a finite number.

    Raises:
        CheckFailed: naming contestants and rows.
    """
    bad = [one for one in document["contestants"] if one["not_finite"]["count"]]
    if bad:
        lines = "; ".join(
            f"{one['name']}: {one['not_finite']['count']} rows "
            f"(first: {', '.join(map(str, one['not_finite']['rows']))})"
            for one in bad
        )
        raise CheckFailed(
            f"outputs that are not finite numbers: {lines}",
            hint="edgekit verify finds the hop that breaks; int8 of an unusual layer often does.",
        )


def _figure(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    names = [str(figure["metric"]) for figure in one["figures"]]
    same = {known.lower().replace(" ", "-"): known for known in names}
    wanted = same.get(name.lower().replace(" ", "-").replace("_", "-"))
    if wanted is None:
        near = get_close_matches(name.lower(), same, n=1)
        raise SpecError(
            f"no metric is called {name!r}",
            hint=(f"Did you mean {same[near[0]]!r}? " if near else "")
            + f"There are: {', '.join(names)}.",
        )
    figure: Mapping[str, Any] = one["figures"][names.index(wanted)]
    return figure


def _record(gate: str, one: Mapping[str, Any], found: float | None, passed: bool) -> dict[str, Any]:
    return {"gate": gate, "contestant": one["name"], "found": found, "passed": passed}


def _shown(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.4f}"
