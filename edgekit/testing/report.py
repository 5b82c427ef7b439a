"""What a test found: one check for each artifact and set of samples, one visit for each place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgekit.bundle.manifest import HopQuality
from edgekit.errors import EdgekitError
from edgekit.testing.labelled import Score

Samples = Literal["goldens", "labelled"]
Status = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class Check:
    """One artifact with one set of samples at one place.

    Attributes:
        samples: ``goldens`` or ``labelled``.
        runtime: of the artifact.
        artifact: its file.
        seconds: copying and running.
        hop: figures of the goldens.
        score: figures of a labelled file.
        error: why it failed or could not be done.
        skipped: why it was not tried.
    """

    samples: Samples
    runtime: str
    artifact: str
    seconds: float = 0.0
    hop: HopQuality | None = None
    score: Score | None = None
    error: EdgekitError | None = None
    skipped: str = ""

    @property
    def status(self) -> Status:
        """How it ended: ``failed`` is a difference, ``error`` is anything else."""
        if self.skipped:
            return "skipped"
        if self.error is None:
            return "passed"
        return "failed" if self.error.exit_status == 1 else "error"

    def ended(self, **found: Any) -> Check:
        """The same check with what is known now."""
        return replace(self, **found)

    def as_dict(self) -> dict[str, Any]:
        """The check as JSON-able data."""
        return {
            "samples": self.samples,
            "runtime": self.runtime,
            "artifact": self.artifact,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "hop": None if self.hop is None else self.hop.model_dump(mode="json"),
            "score": None if self.score is None else self.score.as_dict(),
            "error": None if self.error is None else self.error.as_dict(),
            "skipped": self.skipped or None,
        }


@dataclass
class Visit:
    """All that was done at one place.

    Attributes:
        place: its name.
        kind: ``host``, ``emulated`` or ``phone``.
        serial: of a phone.
        environment: what the place says of itself.
        copied: what went there: ``files``, ``bytes``, ``resumed`` (there already), ``seconds``.
        remarks: what the place could not do, in words; none of it is an error.
        checks: in the order in which they ran.
        error: why the visit ended early.
        seconds: all of it.
    """

    place: str
    kind: str
    serial: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    copied: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    error: EdgekitError | None = None
    seconds: float = 0.0

    @property
    def failure(self) -> EdgekitError | None:
        """The worst that happened: what ended the visit, else the failed check that weighs most."""
        if self.error is not None:
            return self.error
        return worst([check.error for check in self.checks if check.error is not None])

    def as_dict(self) -> dict[str, Any]:
        """The visit as JSON-able data."""
        return {
            "place": self.place,
            "kind": self.kind,
            "serial": self.serial,
            "passed": self.failure is None,
            "seconds": round(self.seconds, 3),
            "copied": self.copied,
            "environment": self.environment,
            "remarks": self.remarks,
            "checks": [check.as_dict() for check in self.checks],
            "error": None if self.error is None else self.error.as_dict(),
        }


def worst(errors: Sequence[EdgekitError]) -> EdgekitError | None:
    """The error with the highest exit status, the first of equals; None without any."""
    return max(errors, key=lambda error: error.exit_status, default=None)


def failure_of(visits: Sequence[Visit]) -> EdgekitError | None:
    """What a test of several places ends with: each failed place named, the worst status."""
    failed = [(visit, visit.failure) for visit in visits if visit.failure is not None]
    errors = [error for _, error in failed if error is not None]
    heaviest = worst(errors)
    if heaviest is None or len(visits) == 1:
        return heaviest
    words = "; ".join(f"{visit.place}: {error.message}" for visit, error in failed if error)
    return type(heaviest)(
        f"{len(failed)} of {len(visits)} phones failed: {words}",
        hint=heaviest.hint,
        phones=[{"place": v.place, "serial": v.serial, **e.as_dict()} for v, e in failed if e],
    )
