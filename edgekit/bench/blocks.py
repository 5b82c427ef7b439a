"""One block: a job at a place, what the runner said, what surrounded it, whether it counts."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from edgekit.bench import schedule, validity
from edgekit.bench.record import TIMED, Block, Gate, Plan, SeriesName, Setting, Times
from edgekit.bench.statistics import MOST_POINTS, Series, core_cv, points
from edgekit.device.job import MOST_TOKENS, Job, Mode, Runtime
from edgekit.device.places import Place
from edgekit.device.protocol import Event
from edgekit.errors import DeviceReplyRefused

_MOST_LOADS = 20_000
_MOST_READINGS = 8
_MEMORY = ("vm_hwm_kb", "rss_kb", "pss_kb")
PROBE_RUNS, PROBE_SECONDS = 5, 0.3
_MODES: dict[SeriesName, Mode] = {
    "latency": "latency",
    "prefill": "generate",
    "decode": "generate",
    "load": "load",
}


@dataclass
class Heard:
    """What a runner says during one job, in bounded memory. Called with each event."""

    kind: SeriesName = "latency"
    series: Series = field(default_factory=Series)
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Take one event; those that a bench has no use for are passed over."""
        match event["event"]:
            case "sample":
                self.series.add(_milliseconds(event))
            case "answer" if self.kind == "prefill":
                self.series.add(_milliseconds(event, "first_ms"))
            case "answer" if self.kind == "decode":
                for ms in _steps(event):
                    self.series.add(ms)
            case "loaded" if len(self.cold) + len(self.warm) < _MOST_LOADS:
                (self.cold if event.get("cold") is True else self.warm).append(_milliseconds(event))
            case "environment" if len(self.clocks) < _MOST_READINGS:
                self.clocks.append({k: v for k, v in event.items() if k != "event"})
            case "memory":
                self.memory = {name: _count(event, name) for name in _MEMORY if name in event}

    def times(self) -> Times | None:
        """The times of the block; None when nothing was timed."""
        if self.series.count == 0:
            return None
        kept = self.series.kept
        chosen = points(kept)
        return Times(
            count=self.series.count,
            points=tuple(round(float(value), 6) for value in chosen),
            thinned=self.series.count > len(chosen),
            median=float(np.median(kept)),
            minimum=self.series.minimum,
            cv=self.series.cv,
            core_cv=core_cv(kept),
        )


@dataclass(frozen=True)
class Bench:
    """What every block of one bench shares.

    Attributes:
        place: where the jobs run.
        planned: the plan.
        models: artifact id -> its runtime and its file in the working folder.
        inputs: (artifact id, length) -> the stream in the working folder.
        contexts: artifact id -> its context, of decoders.
    """

    place: Place
    planned: Plan
    models: Mapping[str, tuple[Runtime, str]]
    inputs: Mapping[tuple[str, int], str]
    contexts: Mapping[str, int] = field(default_factory=dict)

    def job(self, setting: Setting) -> Job:
        """The job of one block of a setting."""
        runs, seconds = schedule.share(self.planned)
        if setting.series == "load":
            return self._job(setting, warm_ups=0, runs=self.planned.loads, seconds=0.0)
        return self._job(setting, warm_ups=self.planned.warm_ups, runs=runs, seconds=seconds)

    def _job(self, setting: Setting, *, warm_ups: int, runs: int, seconds: float) -> Job:
        runtime, model = self.models[setting.candidate]
        mode, tokens = _MODES[setting.series], None
        if mode == "generate":
            # A prompt's first token is an answer of one.
            tokens = 1 if setting.series == "prefill" else self.planned.tokens
        return Job(
            mode=mode,
            runtime=runtime,
            model=model,
            inputs=self.inputs[setting.candidate, setting.length],
            threads=setting.threads,
            cores=setting.cores,
            warm_ups=warm_ups,
            runs=runs,
            seconds=seconds,
            context=self.contexts.get(setting.candidate),
            tokens=tokens,
        )

    def probe(self, setting: Setting) -> float:
        """Median ms of a short run that is always the same."""
        return self.trial(setting, PROBE_RUNS, PROBE_SECONDS).median

    def trial(self, setting: Setting, runs: int, seconds: float) -> Times:
        """Times of a short run of a setting that is no block."""
        heard = Heard(setting.series)
        warm_ups = self.planned.warm_ups
        job = self._job(setting, warm_ups=warm_ups, runs=runs, seconds=seconds)
        self.place.run(job, timeout=_timeout(job, self.place.kind), on_event=heard)
        return _timed(heard)

    def block(
        self, setting: Setting, round_: int, gate: Gate, clock_of_first: float | None
    ) -> Block:
        """Run one block.

        Raises:
            DeviceReplyRefused: the runner gave no times, or none that are numbers.
            EdgekitError: what ``Place.run`` raises.
        """
        heard, job = Heard(setting.series), self.job(setting)
        before = self.place.health()
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        begin, used = time.monotonic(), _own_seconds()
        self.place.run(job, timeout=_timeout(job, self.place.kind), on_event=heard)
        seconds, driver = time.monotonic() - begin, _own_seconds() - used
        after = self.place.health()
        timed = None
        if setting.series in TIMED:
            timed = _timed(heard)
        elif not heard.cold and not heard.warm:
            raise DeviceReplyRefused("the runner told of no load")
        found = validity.reasons(
            before, after, heard.clocks, timed, kind=self.place.kind, clock_of_first=clock_of_first
        )
        if not gate.passed:
            found.insert(0, f"not cooled down: {gate.reason}")
        loads = setting.series == "load"
        return Block(
            setting=setting.id,
            round=round_,
            started=started,
            seconds=round(seconds, 4),
            gate=gate,
            before=before,
            after=after,
            clocks=tuple(heard.clocks),
            times=timed,
            cold_loads_ms=tuple(heard.cold) if loads else (),
            warm_loads_ms=tuple(heard.warm[:MOST_POINTS]) if loads else (),
            memory_kb=heard.memory,
            driver_cpu=round(driver / seconds, 5) if seconds > 0 else 0.0,
            valid=not found,
            reasons=tuple(found),
        )


def _timed(heard: Heard) -> Times:
    times = heard.times()
    if times is None:
        raise DeviceReplyRefused("the runner ended without a single time")
    return times


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _timeout(job: Job, kind: str) -> float:
    """Seconds that a job may take: it must not hang for ever, and must not be cut short."""
    return (300.0 + 5 * job.seconds) * (4 if kind == "emulated" else 1)


def _steps(event: Event) -> list[float]:
    """The times between an answer's tokens."""
    values = event.get("step_ms")
    if not isinstance(values, list) or len(values) >= MOST_TOKENS:
        raise DeviceReplyRefused("the runner gave no times of an answer's tokens")
    return [_milliseconds({"event": "answer", "ms": value}) for value in values]


def _milliseconds(event: Event, name: str = "ms") -> float:
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeviceReplyRefused(f"the runner gave no time in {event['event']!r}")
    if not math.isfinite(value) or value < 0:
        raise DeviceReplyRefused(f"the runner gave {value} ms as a time")
    return float(value)


def _count(event: Event, name: str) -> int:
    value = event[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**50:
        raise DeviceReplyRefused(f"the runner gave no number as {name}")
    return value
