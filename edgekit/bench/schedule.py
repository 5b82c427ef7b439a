"""The plan of an experiment: its settings, their blocks, and the order of each round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.bench.record import Candidate, Plan, SeriesName, Setting

WARM_UPS = 3
RUNS = 10
FULL_SECONDS, QUICK_SECONDS = 60.0, 1.0
FULL_ROUNDS, QUICK_ROUNDS = 3, 2
FULL_LOADS, QUICK_LOADS = 5, 2
FULL_COOLDOWN, QUICK_COOLDOWN = 10.0, 0.5
MOST_THREADS, UNKNOWN_THREADS = 4, 2
DECODER: tuple[SeriesName, ...] = ("prefill", "decode")
WORDS: dict[SeriesName, str] = {
    "latency": "{length} tokens",
    "prefill": "prefill of {length} tokens",
    "decode": "decode after {length} tokens",
    "load": "load",
}


@dataclass(frozen=True)
class Request:
    """What a user asks for; None is the default of the kind of run.

    Attributes:
        quick: a short run: enough to see that it works, not to believe a figure.
        lengths: of the input in tokens.
        threads: counts to measure; empty with ``threads_auto``.
        threads_auto: try some counts first and measure with the best of each runtime.
        cores: processors that the runner may use; empty for all.
        runtimes: artifacts to measure.
        seed: of the order and of the bootstrap.
        cooldown_minutes: most time to wait for a cool device, over the whole run.
        tokens: how long a decoder's answers are.
    """

    quick: bool = False
    lengths: tuple[int, ...] | None = None
    threads: tuple[int, ...] | None = None
    threads_auto: bool = False
    cores: tuple[int, ...] | None = None
    runtimes: tuple[str, ...] | None = None
    seed: int | None = None
    cooldown_minutes: float | None = None
    tokens: int | None = None


def plan(
    request: Request, lengths: Sequence[int], processors: int | None, tokens: int | None = None
) -> Plan:
    """The whole plan of a request, with its defaults filled in.

    Args:
        request: what the user asks for.
        lengths: the lengths, already held against the bundles.
        processors: of the place; None when it does not say.
        tokens: of a decoder's answers; None for other models.
    """
    quick = request.quick
    usual = min(MOST_THREADS, processors or UNKNOWN_THREADS)
    minutes = request.cooldown_minutes
    if minutes is None:
        minutes = QUICK_COOLDOWN if quick else FULL_COOLDOWN
    return Plan(
        quick=quick,
        lengths=tuple(lengths),
        threads=tuple(sorted(set(request.threads or (usual,)))),
        threads_auto=request.threads_auto,
        cores=tuple(sorted(set(request.cores or ()))),
        warm_ups=WARM_UPS,
        runs=RUNS,
        seconds=QUICK_SECONDS if quick else FULL_SECONDS,
        rounds=QUICK_ROUNDS if quick else FULL_ROUNDS,
        loads=QUICK_LOADS if quick else FULL_LOADS,
        seed=request.seed or 0,
        cooldown_minutes=minutes,
        tokens=tokens,
    )


def settings(
    planned: Plan, candidates: Sequence[Candidate], best: dict[str, int] | None = None
) -> tuple[Setting, ...]:
    """Every setting: latency by length and threads, of decoders prefill and decode, and loading.

    Args:
        planned: the plan.
        candidates: artifacts under test.
        best: threads by artifact from a sweep; the plan's for all unless given.
    """
    found = []
    for candidate in candidates:
        counts = planned.threads if best is None else (best[candidate.id],)
        timed: tuple[SeriesName, ...] = ("latency",) if candidate.context is None else DECODER
        for length in planned.lengths:
            found += [
                _setting(candidate, series, length, threads, planned.cores)
                for series in timed
                for threads in counts
            ]
        found.append(_setting(candidate, "load", planned.lengths[0], max(counts), planned.cores))
    return tuple(found)


def order(planned: Plan, found: Sequence[Setting]) -> tuple[tuple[str, ...], ...]:
    """The ids of the settings in the order of each round, drawn with the plan's seed."""
    draw = np.random.default_rng(planned.seed)
    ids = [setting.id for setting in found]
    return tuple(
        tuple(ids[index] for index in draw.permutation(len(ids))) for _ in range(planned.rounds)
    )


def share(planned: Plan) -> tuple[int, float]:
    """Runs and seconds of one block of a setting."""
    return math.ceil(planned.runs / planned.rounds), planned.seconds / planned.rounds


def _setting(
    candidate: Candidate, series: SeriesName, length: int, threads: int, cores: tuple[int, ...]
) -> Setting:
    what = WORDS[series].format(length=length)
    return Setting.model_validate(
        {
            "id": f"{candidate.id}, {what}, {threads} threads",
            "candidate": candidate.id,
            "series": series,
            "length": length,
            "threads": threads,
            "cores": cores,
        }
    )
