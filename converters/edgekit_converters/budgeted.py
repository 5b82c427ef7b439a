"""A mixed plan under a budget: bits are chosen, carried out, built, run and timed; then the next.

What a choice is accepted by is its ``.pte``: its answers to the texts, and with a limit on time a
run of it, timed in turn with the fp32 one. A miss teaches the next choice how far sums are off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edgekit.bundle.manifest import HopQuality, Signature
from edgekit.errors import SpecError
from edgekit.floors import FLOORS
from edgekit.stages import Stages
from edgekit.tasks import task
from edgekit_converters import prepare
from edgekit_converters.calibration import (
    Calibrated,
    Work,
    calibrators,
    forecast,
    measured,
    tweak_vectors,
)
from edgekit_converters.export import executorch
from edgekit_converters.export.capture import Captured
from edgekit_converters.planning import Wanted
from edgekit_converters.quantize.budget import Budget
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.mixed import Missed, Search
from edgekit_converters.quantize.plan import Setting
from edgekit_converters.quantize.record import SearchRecord, TimeRecord
from edgekit_converters.quantize.search.allocate import Allocation
from edgekit_converters.quantize.search.clock import THREADS, Program, milliseconds
from edgekit_converters.quantize.search.sensitivity import Floats

_DELEGATE = "xnnpack"
# What norm tweaking leaves of a loss, about: where less than this is left, a pick misses its budget
# for quality, and the next one allows for it.
_EASED = 0.8
# Of timing, for one pick and fp32 together.
_SECONDS = 6.0


def mixed(wanted: Wanted, work: Work, stages: Stages) -> Calibrated:
    """Choose bits tensor by tensor, so that the budget and the floor hold in the artifact.

    Raises:
        SpecError: a limit on time for longer texts than the model takes.
        CheckFailed: no choice holds the budget.
    """
    assert wanted.budget is not None
    floor = FLOORS[work.job.scheme].worst_cosine
    budget = replace(wanted.budget, worst_cosine=max(floor, wanted.budget.worst_cosine or 0.0))
    _check_length(budget, work)
    methods = calibrators(wanted)
    fp32_bytes = prepare.fp32_bytes(work.captured)
    with stages.stage("search"):
        graph = work.edge.module()
        search = Search(graph, wanted.choice, methods, work.inputs, _compared(work), work.short)
        if wanted.plot is not None:
            search.plot(wanted.plot, fp32_bytes)
    with tempfile.TemporaryDirectory() as scratch:
        trials = _Trials(work, budget, fp32_bytes, Path(scratch))
        fp32 = None
        if budget.timed:
            with stages.stage("time"):
                search.measure_kinds(budget.tokens)
                fp32 = trials.fp32()

        def hold(settings: dict[str, Setting]) -> Missed | None:
            graph = work.edge.module()
            decisions = calibrate(graph, lambda found: dict(settings), methods, work.inputs)
            if trials.fits(forecast(graph, decisions)):
                tweak_vectors(wanted, work, graph, decisions, stages)
            return trials.missed(measured(work, graph, decisions, methods), graph)

        with stages.stage("calibrate"):
            eased = _EASED if wanted.tweak else 1.0
            pick = search.choose(budget, fp32_bytes, hold, fp32, eased)
    made = trials.made[-1]
    return replace(made, search=_record(budget, trials, search, pick, fp32_bytes))


@dataclass
class _Trials:
    """Choices carried out, and what each came to.

    Attributes:
        work: what they start from.
        budget: what they must hold.
        fp32_bytes: what a share of the size is of.
        folder: for files.
        made: every one so far.
        times: milliseconds of the last one that was timed, by ``fp32`` and ``pick``.
    """

    work: Work
    budget: Budget
    fp32_bytes: int
    folder: Path
    made: list[Calibrated] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def fp32(self) -> float:
        """Milliseconds of one run of the fp32 artifact."""
        self._lowered("fp32", self.work.edge, {})
        (took,) = milliseconds([self._program("fp32")], _SECONDS)
        return took

    def fits(self, size: int) -> bool:
        """Whether so many bytes are as few as they must be."""
        most = self.budget.most_bytes(self.fp32_bytes)
        return most is None or size <= most

    def missed(self, made: Calibrated, graph: Any) -> Missed | None:
        """By what a choice misses the budget; what is cheap to know is asked first."""
        self.made.append(made)
        found = Missed(made.forecast_bytes, made.hop.worst_cosine)
        if not self.fits(found.bytes) or not self._true(made.hop):
            return found
        # The lowering may change a graph in place: it gets one of its own.
        self._lowered("pick", self.work.edge.again(graph), made.decisions.grids)
        hop = self._run()
        self.made[-1] = replace(made, artifact=hop)
        found = replace(found, worst_cosine=hop.worst_cosine)
        if not self._true(hop):
            return found
        if not self.budget.timed:
            return None
        names = ["fp32", "pick"]
        took = milliseconds([self._program(name) for name in names], _SECONDS)
        self.times = dict(zip(names, took, strict=True))
        limit = self.budget.most_milliseconds(self.times["fp32"])
        assert limit is not None
        return None if took[1] <= limit else replace(found, milliseconds=took[1])

    def _true(self, hop: HopQuality) -> bool:
        least = self.budget.worst_cosine
        return hop.passed and (least is None or hop.worst_cosine >= least)

    def _run(self) -> HopQuality:
        ladder, signature = self.work.ladder, self.work.captured.signature
        floor = FLOORS[self.work.job.scheme]
        ladder.artifact(executorch.RUNTIME, self._path("pick"), signature, floor)
        # Another attempt may follow: only the last one is a rung.
        return ladder.hops.pop()

    def _lowered(self, name: str, edge: Captured, grids: Mapping[str, Grid]) -> None:
        with prepare.or_unsupported(
            f"{self.work.job.loaded.family} models cannot be lowered for executorch here"
        ):
            made = executorch.lower(edge, grids, _DELEGATE)
        self._path(name).parent.mkdir(exist_ok=True)
        self._path(name).write_bytes(made.data)

    def _path(self, name: str) -> Path:
        return self.folder / name / executorch.FILE

    def _program(self, name: str) -> Program:
        signature = self.work.captured.signature
        return Program(self._path(name), signature, _text(signature, self.budget.tokens))


def _text(signature: Signature, tokens: int) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of one text of so many tokens; its words do not matter to the time."""
    rows = {spec.name: np.ones((1, tokens), np.int64) for spec in signature.inputs}
    if "token_type_ids" in rows:
        rows["token_type_ids"] = np.zeros((1, tokens), np.int64)
    return rows


def _check_length(budget: Budget, work: Work) -> None:
    bounds = work.captured.signature.inputs[0].dims[1]
    if budget.timed and not bounds.minimum <= budget.tokens <= bounds.maximum:
        raise SpecError(
            f"a limit on the time of {budget.tokens} tokens: the model takes {bounds.minimum} "
            f"to {bounds.maximum}",
            hint=f"Name the length behind the limit, such as 4ms@{bounds.maximum}.",
        )


def _record(
    budget: Budget, trials: _Trials, search: Search, pick: Allocation, fp32_bytes: int
) -> SearchRecord:
    agreed, time = search.additivity, None
    if budget.timed:
        limit = budget.most_milliseconds(trials.times["fp32"])
        assert limit is not None
        assert pick.milliseconds is not None
        time = TimeRecord(
            tokens=budget.tokens,
            threads=THREADS,
            limit=round(limit, 3),
            predicted=round(pick.milliseconds, 3),
            measured=round(trials.times["pick"], 3),
            fp32=round(trials.times["fp32"], 3),
        )
    return SearchRecord(
        bytes=budget.most_bytes(fp32_bytes),
        worst_cosine=budget.worst_cosine,
        latency=budget.latency,
        tries=len(trials.made),
        predicted_worst=round(pick.worst_cosine, 7),
        predicted_mean=round(pick.mean_cosine, 7),
        worst_correlation=round(agreed.worst_correlation, 4),
        mean_correlation=round(agreed.mean_correlation, 4),
        time=time,
    )


def _compared(work: Work) -> Any:
    """The part of an output that answers are compared by."""
    meaning, context = task(work.job.task), work.ladder.context

    def rows(output: Floats, arguments: tuple[Tensor, ...]) -> Floats:
        return meaning.rows(output, arguments[0].numpy(), context)

    return rows
