"""A test's record: the one JSON document, and what can be read back from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekit.bundle.manifest import HopQuality
from edgekit.device.inventory import Listed
from edgekit.errors import EdgekitError, InternalError, all_errors
from edgekit.testing.labelled import Score, Share
from edgekit.testing.report import Check, Visit

SCHEMA = 1


class Malformed(Exception):
    """A document that no ``edgekit test`` writes."""


def document(bundle: Path, visits: Sequence[Visit], failure: EdgekitError | None) -> dict[str, Any]:
    """The record of a test.

    Args:
        bundle: the bundle's folder.
        visits: what was found, place by place.
        failure: what the test ends with.
    """
    made = {
        "schema": SCHEMA,
        "bundle": str(bundle),
        "passed": failure is None,
        "places": [visit.as_dict() for visit in visits],
    }
    return made if failure is None else {**made, "error": failure.as_dict()}


def visit_from(document: Any, phone: Listed) -> Visit:
    """The visit of a record with one place; of a record of a failure alone, a failed visit.

    Raises:
        Malformed: it is neither.
    """
    try:
        places = document.get("places", [])
        if not places:
            return Visit(phone.name, "phone", phone.serial, error=_error(document["error"]))
        (place,) = places
        return Visit(
            place=place["place"],
            kind=place["kind"],
            serial=place["serial"],
            environment=place["environment"],
            copied=place["copied"],
            remarks=place["remarks"],
            checks=[_check(check) for check in place["checks"]],
            error=None if place["error"] is None else _error(place["error"]),
            seconds=place["seconds"],
        )
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise Malformed(str(error)) from error


def _check(told: dict[str, Any]) -> Check:
    return Check(
        samples=told["samples"],
        runtime=told["runtime"],
        artifact=told["artifact"],
        seconds=told["seconds"],
        hop=None if told["hop"] is None else HopQuality.model_validate(told["hop"]),
        score=None if told["score"] is None else _score(told["score"]),
        error=None if told["error"] is None else _error(told["error"]),
        skipped=told["skipped"] or "",
    )


def _score(told: dict[str, Any]) -> Score:
    shares = {name: Share(**told[name]) for name in ("accuracy", "macro_f1")}
    return Score(samples=told["samples"], **shares)


def _error(told: dict[str, Any]) -> EdgekitError:
    """The error of a code; another process's usage error or stop becomes an internal one."""
    kinds = {kind.code: kind for kind in all_errors()}
    kind = kinds.get(told["code"], InternalError)
    made = kind(told["message"], hint=told["hint"])
    made.details = dict(told["details"])
    return made
