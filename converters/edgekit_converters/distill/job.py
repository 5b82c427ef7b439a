"""One distillation's fixed facts, settled before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.stages import Stages
from edgekit_converters.distill.beginnings import Begun
from edgekit_converters.distill.collate import Collate
from edgekit_converters.distill.distiller import Teacher
from edgekit_converters.distill.models import Taught
from edgekit_converters.distill.rows import JobRows
from edgekit_converters.distill.wanted import Wanted


@dataclass(frozen=True)
class Job:
    """One distillation's fixed facts.

    Attributes:
        teacher: the model to learn from.
        begun: the student before training.
        wanted: the settled request.
        data: the rows.
        collate: rows to the student's inputs.
        ask: the teacher's outputs; None where no loss wants them.
        work: folder of checkpoints, of this request alone.
        stages: told of what begins.
    """

    teacher: Taught
    begun: Begun
    wanted: Wanted
    data: JobRows
    collate: Collate
    ask: Teacher | None
    work: Path
    stages: Stages
