"""Continue a bench that ended early: only the same experiment on the same machine goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from edgekit.bench.candidates import Entry
from edgekit.bench.record import Plan, Record
from edgekit.bench.schedule import Request
from edgekit.bench.surroundings import machine
from edgekit.device.places import Place
from edgekit.errors import SpecError

_OPTIONS = {
    "quick": "--quick",
    "lengths": "--lengths",
    "threads": "--threads",
    "threads_auto": "--threads",
    "cores": "--cores",
    "runtimes": "--runtime",
    "seed": "--seed",
    "tokens": "--tokens",
    "cooldown_minutes": "--cooldown",
}


def continued(request: Request, record: Record) -> Request:
    """The request with what the record was made with; the command line may only agree.

    Raises:
        SpecError: the record is complete, or an option contradicts it.
    """
    if record.complete:
        raise SpecError("nothing is missing in this record", hint="Leave --resume out.")
    plan = record.plan
    runtimes = tuple(dict.fromkeys(c.runtime for c in record.candidates))
    made = Request(
        quick=plan.quick,
        lengths=plan.lengths,
        threads=None if plan.threads_auto else plan.threads,
        threads_auto=plan.threads_auto,
        cores=plan.cores or None,
        runtimes=runtimes,
        seed=plan.seed,
        tokens=plan.tokens,
        cooldown_minutes=plan.cooldown_minutes,
    )
    for field in fields(Request):
        asked, had = getattr(request, field.name), getattr(made, field.name)
        if asked in (None, False) or _same(asked, had) or field.name == "cooldown_minutes":
            continue
        raise SpecError(
            f"the record to continue was made with another {_OPTIONS[field.name]}",
            hint=f"Leave {_OPTIONS[field.name]} out, or begin a new record.",
        )
    return replace(made, cooldown_minutes=request.cooldown_minutes or made.cooldown_minutes)


def refuse_other_plan(record: Record, planned: Plan) -> None:
    """Raise when the plan made now is not the record's.

    Raises:
        SpecError: this edgekit plans other blocks than the one that began the record.
    """
    if planned.model_copy(update={"cooldown_minutes": record.plan.cooldown_minutes}) != record.plan:
        raise SpecError(
            "the record was begun with another plan of blocks",
            hint="Continue it with the edgekit that began it, or begin a new one.",
        )


def refuse_other_subject(
    record: Record, entries: Sequence[Entry], place: Place, environment: Mapping[str, Any]
) -> None:
    """Raise when the bundles or the machine are not those of the record.

    Raises:
        SpecError: naming what differs.
    """
    if tuple(entry.candidate for entry in entries) != record.candidates:
        raise SpecError(
            "the record was made of other bundles: "
            + ", ".join(f"{c.id} {c.sha256[:12]}" for c in record.candidates),
            hint="Name the same bundles in the same order.",
        )
    if place.kind != record.place_kind or machine(environment) != machine(record.environment):
        raise SpecError(
            f"the record was made on {record.place}, this is {place.name}",
            hint="Connect that machine again, or begin a new record.",
        )


def _same(asked: Any, had: Any) -> bool:
    if isinstance(asked, tuple) and isinstance(had, tuple):
        return set(asked) == set(had)
    return bool(asked == had)
