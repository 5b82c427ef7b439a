"""A place without a machine, for the logic of the schedule: time is what a script says it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench import experiment
from edgekit.bench.record import Record
from edgekit.bench.schedule import Request
from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.device import stream
from edgekit.device.job import Job
from edgekit.device.protocol import Event
from tests.bundle import small

MACHINE = {"machine": "scripted", "processors": 4}
COOL = {"thermal_status": 0, "charging": False, "screen_on": True, "battery_percent": 80}
QUIET = Request(quick=True, lengths=(8, 16), threads=(2,), cooldown_minutes=0)
BLOCKS = 2 * 2 * (2 + 1)  # rounds x artifacts x (lengths + load)


def signature(longest: int = 64, texts: int = 1) -> Signature:
    one = Dim(name="batch", minimum=texts, maximum=texts)
    length = Dim(name="length", minimum=2, maximum=longest)
    width = Dim(name="width", minimum=8, maximum=8)
    return Signature(
        inputs=(TensorSpec(name="input_ids", dtype="int64", dims=(one, length)),),
        outputs=(TensorSpec(name="embedding", dtype="float32", dims=(one, width)),),
    )


def bundle(folder: Path, **changes: Any) -> Path:
    """A sealed bundle whose artifacts nothing but ``ScriptedPlace`` would run."""
    longest, texts = changes.pop("longest", 64), changes.pop("texts", 1)
    changes.setdefault("limits", {"min_length": 2, "max_length": longest, "vocabulary": 100})
    return small.bundle(folder, signature=signature(longest, texts).model_dump(), **changes)


class ScriptedPlace:
    """Answers jobs from ``milliseconds(job)``; keeps what was asked of it.

    Args:
        milliseconds: the time of one inference of a job.
        noise: standard deviation of a time, as a share.
        health: readings in their order; the last one stays.
        fails: number of the job (from 0) that raises, and what.
        kind: of the place.
    """

    def __init__(
        self,
        milliseconds: Callable[[Job], float] = lambda job: 2.0,
        *,
        noise: float = 0.01,
        health: Iterable[Mapping[str, Any]] = (COOL,),
        fails: tuple[int, BaseException] | None = None,
        kind: Any = "phone",
        environment: Mapping[str, Any] = MACHINE,
        seed: int = 0,
    ) -> None:
        self.name, self.kind = "scripted", kind
        self.jobs: list[Job] = []
        self.files: dict[str, bytes] = {}
        self.closed = False
        self.clocks = [{"cpus": [{"cpu": 0, "khz": 2_000_000, "max_khz": 2_800_000}]}] * 2
        self._milliseconds = milliseconds
        self._noise = noise
        self._health = list(health)
        self._fails = fails
        self._environment = dict(environment)
        self._draw = np.random.default_rng(seed)

    def put(self, files: Mapping[str, Path]) -> None:
        self.files |= {name: path.read_bytes() for name, path in files.items()}

    def run(
        self, job: Job, *, timeout: float, on_event: Callable[[Event], None] = lambda event: None
    ) -> Event:
        assert timeout > job.seconds
        assert {job.model, job.inputs} <= self.files.keys()
        self.jobs.append(job)
        if self._fails is not None and len(self.jobs) - 1 == self._fails[0]:
            raise self._fails[1]
        for event in self._events(job):
            on_event(json.loads(json.dumps(event)))
        return {"event": "done"}

    def _events(self, job: Job) -> Iterable[Event]:
        yield {"event": "hello", "protocol": 2}
        yield {"event": "environment", "when": "before", **self.clocks[0]}
        if job.mode == "load":
            for index in range(job.runs):
                yield {"event": "loaded", "index": 2 * index, "cold": True, "ms": 40.0 + index}
                yield {"event": "loaded", "index": 2 * index + 1, "cold": False, "ms": 10.0}
        elif job.mode == "generate":
            yield {"event": "loaded", "index": 0, "cold": False, "ms": 10.0}
            yield from self._answers(job)
        else:
            yield {"event": "loaded", "index": 0, "cold": False, "ms": 10.0}
            middle = self._milliseconds(job)
            for ms in middle * (1 + self._noise * self._draw.standard_normal(40)):
                yield {"event": "sample", "index": 0, "round": 0, "ms": float(ms)}
        yield {"event": "heartbeat", "sample": 3}
        yield {"event": "environment", "when": "after", **self.clocks[1]}
        yield {"event": "memory", "vm_hwm_kb": 5_000, "rss_kb": 4_800, "pss_kb": 4_000}

    def _answers(self, job: Job) -> Iterable[Event]:
        """Forty answers: the first token takes ten times as long as one after it."""
        assert job.tokens is not None
        middle = self._milliseconds(job)
        for number in range(40):
            steps = middle * (1 + self._noise * self._draw.standard_normal(job.tokens))
            told = {"first_ms": float(10 * steps[0]), "step_ms": [float(ms) for ms in steps[1:]]}
            yield {"event": "answer", "index": 0, "round": number, **told}

    def fetch(self, name: str, into: Path) -> None:
        raise AssertionError("a bench fetches nothing")

    def environment(self) -> dict[str, Any]:
        return dict(self._environment)

    def health(self) -> dict[str, Any]:
        return dict(self._health.pop(0) if len(self._health) > 1 else self._health[0])

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> ScriptedPlace:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def lengths(self) -> set[int]:
        """Lengths of all inputs that were put here."""
        found = set()
        for name, data in self.files.items():
            if data.startswith(stream.MAGIC):
                found.add(int(name.rpartition("-")[2]))
        return found


def measured(
    folder: Path, place: ScriptedPlace | None = None, request: Request = QUIET, **options: Any
) -> Record:
    """A record of a new bundle in ``folder``, measured at ``place``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "bundle"
    if not made.exists():
        bundle(made)
    where = place or ScriptedPlace()
    return experiment.bench(
        [made], request, lambda runtimes: where, folder / "record.json", **options
    )
