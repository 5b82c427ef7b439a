"""What the student is held against: what would have come out without the teacher, or by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit_converters.distill import losses
from edgekit_converters.distill.losses import Term
from edgekit_converters.distill.measure import Measured
from edgekit_converters.training.trainer import Trained

STUDENT = "distilled"
UNTRAINED = "untrained"
LABELS = "labels only"
RANDOM = "random start"
TEACHER = "teacher"
_NOTHING = 0.002  # a difference of fidelity or accuracy that is none


@dataclass(frozen=True)
class Control:
    """A run of equal steps.

    Attributes:
        name: of the run.
        terms: its losses.
        random: whether it begins at random weights.
    """

    name: str
    terms: tuple[Term, ...]
    random: bool


@dataclass(frozen=True)
class Run:
    """One row of the report.

    Attributes:
        name: of the run.
        measured: on the held-out rows.
        trained: how; None for what was not trained.
    """

    name: str
    measured: Measured
    trained: Trained | None = None

    def record(self) -> dict[str, Any]:
        """As JSON-able data."""
        made = self.trained
        training = {"steps": 0} if made is None else _training(made)
        return {"run": self.name, **self.measured.record(), **training}


def controls(terms: Sequence[Term], *, labels: bool, copied: bool) -> list[Control]:
    """The controls that mean something for a job.

    Args:
        terms: of the student.
        labels: whether rows hold what a model without a teacher could learn.
        copied: whether the student begins with weights of its teacher.
    """
    found = []
    if labels and any(term.teacher for term in terms):
        found.append(Control(LABELS, (losses.term("labels"),), False))
    if copied:
        found.append(Control(RANDOM, tuple(terms), True))
    return found


def verdict(runs: Sequence[Run]) -> str:
    """What the teacher added, in one sentence; also when that is nothing."""
    by_name = {run.name: run for run in runs}
    student = by_name[STUDENT]
    if student.trained is None:
        return "The student was not trained."
    figure = "accuracy" if "accuracy" in student.measured.more else "fidelity"
    other = by_name.get(LABELS) or by_name[UNTRAINED]
    without = "training on labels alone" if other.name == LABELS else "no training at all"
    own, theirs = _figure(student, figure), _figure(other, figure)
    gain = own - theirs
    compared = f"{figure} {own:.4f} with it, {theirs:.4f} with {without}"
    if gain > _NOTHING:
        return f"The teacher added {gain:.4f}: {compared}."
    if gain < -_NOTHING:
        return f"The teacher did harm, {gain:.4f}: {compared}."
    return f"The teacher added nothing: {compared}."


def _figure(run: Run, name: str) -> float:
    measured = run.measured
    return measured.fidelity if name == "fidelity" else measured.more[name]


def _training(made: Trained) -> dict[str, Any]:
    return {
        "steps": made.steps,
        "best_step": made.best_step,
        "held_out_loss": made.best_loss,
        "seconds": round(made.seconds, 1),
    }
