"""One place, every artifact: copy, replay the goldens, run the labelled file, keep what is known.

A failure that concerns one artifact does not stop the next one; a phone that is gone does. What was
measured until then is in the visit all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from edgekit.bundle.manifest import ArtifactInfo
from edgekit.device import runner
from edgekit.device.job import Runtime
from edgekit.device.places import Kind, Place, app
from edgekit.device.places.app import AppPlace
from edgekit.device.places.phone import PhonePlace
from edgekit.device.protocol import Event
from edgekit.errors import EdgekitError, InputRefused, InternalError, Unavailable, Unsupported
from edgekit.stages import Stages
from edgekit.testing.checks import check_goldens, check_labelled, parity_failure
from edgekit.testing.plan import Plan
from edgekit.testing.replay import model_name
from edgekit.testing.report import Check, Samples, Visit

# These are about one artifact; the place itself is sound.
_GOES_ON = (InputRefused, InternalError, Unsupported)


@dataclass(frozen=True)
class Ready:
    """Artifacts whose runner is built, and those whose runner is not, with the reason."""

    artifacts: tuple[ArtifactInfo, ...]
    missing: dict[str, str]


def ready(
    plan: Plan, machine: str, asked: Sequence[str] | None = None, *, in_app: bool = False
) -> Ready:
    """Sort a plan's artifacts by whether they can run on ``machine``.

    Args:
        plan: what to test.
        machine: ``aarch64`` or ``x86_64``.
        in_app: an app's runner is to run them, and none of ours.
        asked: runtimes that the user named: each of them must be able to run.

    Raises:
        Unavailable: none can run, or one that was asked for cannot.
    """
    missing: dict[str, Unavailable] = {}
    for artifact in plan.artifacts:
        try:
            if in_app:
                app.require(artifact.runtime)
            else:
                runner.built(machine, artifact.runtime)
        except Unavailable as lack:
            missing[artifact.runtime] = lack
    refused = [lack for name, lack in missing.items() if name in (asked or ())]
    if refused or len(missing) == len(plan.artifacts):
        raise (refused or list(missing.values()))[0]
    able = tuple(artifact for artifact in plan.artifacts if artifact.runtime not in missing)
    reasons = {name: f"{lack.message}. {lack.hint}" for name, lack in missing.items()}
    return Ready(able, reasons)


def visit(
    opener: Callable[[], Place],
    kind: Kind,
    plan: Plan,
    chosen: Ready,
    *,
    timeout: float,
    stages: Stages,
) -> Visit:
    """Test a plan at one place.

    Args:
        opener: opens the place; a failure to is the visit's error.
        kind: of place.
        plan: what to test.
        chosen: which artifacts of it.
        timeout: seconds for each job.
        stages: told of each step; its plan has the names of ``steps``.

    Returns:
        What was found, also when it broke off.
    """
    began = time.monotonic()
    made = Visit(place=kind, kind=kind)
    try:
        with stages.stage("connect"):
            place = opener()
        with place:
            _describe(made, place)
            if isinstance(place, PhonePlace | AppPlace):
                _look(place, plan, chosen)
            _Tester(place, plan, timeout, stages, made).run(chosen)
            _describe(made, place)
    except EdgekitError as error:
        made.error = error
    made.checks += [
        Check(samples, name, file, skipped=reason)
        for name, reason in chosen.missing.items()
        for file in [item.file for item in plan.artifacts if item.runtime == name]
        for samples in _sets(plan)
    ]
    made.seconds = time.monotonic() - began
    return made


def steps(plan: Plan, chosen: Ready) -> dict[str, float]:
    """Names of a visit's stages with their expected share of its time."""
    return {
        "connect": 1.0,
        **{
            f"{artifact.file} {samples}": 5.0
            for artifact in chosen.artifacts
            for samples in _sets(plan)
        },
    }


def _sets(plan: Plan) -> tuple[Samples, ...]:
    return ("goldens", "labelled") if plan.examples else ("goldens",)


def _describe(made: Visit, place: Place) -> None:
    made.place = place.name
    made.environment = place.environment()
    if isinstance(place, PhonePlace | AppPlace):
        made.serial = place.serial
        made.copied = place.copied()
        made.remarks = list(place.session.remarks)


def _look(phone: PhonePlace | AppPlace, plan: Plan, chosen: Ready) -> None:
    """Room for all of the visit, and what is worth a remark, before anything is copied."""
    sizes = {
        model_name(item): (plan.folder / item.file).stat().st_size for item in chosen.artifacts
    }
    phone.require_room(
        {**sizes, "inputs": plan.input_bytes},
        [cast(Runtime, artifact.runtime) for artifact in chosen.artifacts],
    )
    if phone.locked():
        phone.session.remarks.append("the screen is locked; answers do not depend on it")


@dataclass
class _Tester:
    """Runs the checks of a visit in order, and notes each."""

    place: Place
    plan: Plan
    timeout: float
    stages: Stages
    made: Visit

    def run(self, chosen: Ready) -> None:
        sets = _sets(self.plan)
        waiting = [(artifact, samples) for artifact in chosen.artifacts for samples in sets]
        while waiting:
            artifact, samples = waiting.pop(0)
            with self.stages.stage(f"{artifact.file} {samples}"):
                check = self._check(artifact, samples)
            self.made.checks.append(check)
            if check.status == "error" and not isinstance(check.error, _GOES_ON):
                self.made.error = check.error
                self.made.checks += [
                    Check(samples, artifact.runtime, artifact.file, skipped="not reached")
                    for artifact, samples in waiting
                ]
                return

    def _check(self, artifact: ArtifactInfo, samples: Samples) -> Check:
        began = time.monotonic()
        found = Check(samples, artifact.runtime, artifact.file)
        try:
            self.place.put({model_name(artifact): self.plan.folder / artifact.file})
            found = self._measured(found, artifact)
        except EdgekitError as error:
            found = found.ended(error=error)
        return found.ended(seconds=time.monotonic() - began)

    def _measured(self, found: Check, artifact: ArtifactInfo) -> Check:
        place, plan = self.place, self.plan
        if found.samples == "labelled":
            score = check_labelled(place, plan, artifact, timeout=self.timeout, on_event=_ignore)
            return found.ended(score=score)
        hop = check_goldens(place, plan, artifact, timeout=self.timeout, on_event=_ignore)
        return found.ended(hop=hop, error=None if hop.passed else parity_failure(hop, plan))


def _ignore(event: Event) -> None:
    """Nobody is told of single samples: a line each would be noise."""
