"""Progress of a long job: named stages with elapsed time and an estimate of the rest.

Library code reports; only the command line prints. A callback gets one ``Progress`` when a stage
starts and one when the job is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Attributes:
        stage: name of the stage that starts now; ``done`` at the end.
        index: stages finished so far.
        total: stages in the job.
        elapsed: seconds since the job began.
        remaining: estimated seconds to go; None while nothing is known.
        note: one line for the reader, often empty.
    """

    stage: str
    index: int
    total: int
    elapsed: float
    remaining: float | None
    note: str = ""


ProgressCallback = Callable[[Progress], None]


@dataclass
class Stages:
    """Runs a job's stages in order and tells a callback.

    Args:
        plan: stage name -> expected share of the job's time, any unit; estimates scale with it.
        callback: told of each stage; None for silence.
    """

    plan: dict[str, float]
    callback: ProgressCallback | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage of the plan."""
        self._tell(name)
        start = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start

    def note(self, text: str) -> None:
        """Say one line in the middle of a stage."""
        self._tell("note", text)

    def finish(self) -> None:
        """Tell the callback that the job is done."""
        self._tell("done")

    def _tell(self, stage: str, note: str = "") -> None:
        if self.callback is None:
            return
        elapsed = time.monotonic() - self._began
        expected = sum(self.plan[name] for name in self.seconds if name in self.plan)
        left = sum(share for name, share in self.plan.items() if name not in self.seconds)
        spent = sum(self.seconds.values())
        remaining = left * spent / expected if expected and spent else None
        self.callback(Progress(stage, len(self.seconds), len(self.plan), elapsed, remaining, note))
