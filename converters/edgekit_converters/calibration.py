"""From a rewritten graph to a calibrated and measured one: by a scheme, or under a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit.bundle.manifest import HopQuality
from edgekit.floors import FLOORS
from edgekit.stages import Stages
from edgekit.tasks import task
from edgekit_converters import graph as rewrites
from edgekit_converters import prepare
from edgekit_converters.evaluate.ladder import Ladder
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.graph.parameters import replace_constant
from edgekit_converters.job import Job
from edgekit_converters.planning import NONE, Wanted
from edgekit_converters.quantize import gates, qat
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.budget import Budget
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, weight
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.mixed import Missed, Search
from edgekit_converters.quantize.plan import Setting
from edgekit_converters.quantize.record import SearchRecord
from edgekit_converters.quantize.search.sensitivity import Floats
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quantize.simulate import Simulation, Treatment
from edgekit_converters.quantize.units import units

SIMULATED = "simulated"

_TOLD = 50


@dataclass(frozen=True)
class Work:
    """What a calibration starts from.

    Attributes:
        job: fixed facts.
        captured: the graph as captured.
        eager: the float model that it was captured from.
        edge: the graph as rewritten.
        texts: to calibrate with.
        ladder: measured up to the rewritten graph.
    """

    job: Job
    captured: Captured
    eager: nn.Module
    edge: Captured
    texts: Sequence[str]
    ladder: Ladder


@dataclass(frozen=True)
class Calibrated:
    """What came of it.

    Attributes:
        decisions: integers and ledger.
        methods: that were used.
        fp32_bytes: of the weights; one that a table and a linear share counts once.
        forecast_bytes: of the weights by the ledger; calibrated, each has its own.
        hop: the simulated answers.
        search: what a mixed plan was chosen by; None for a scheme.
    """

    decisions: Decisions
    methods: Calibrators
    fp32_bytes: int
    forecast_bytes: int
    hop: HopQuality
    search: SearchRecord | None = None


def plain(wanted: Wanted, work: Work, stages: Stages) -> Calibrated:
    """Calibrate as a scheme and a recipe say."""
    methods = _calibrators(wanted)
    inputs = prepare.calibration_inputs(work.job, work.edge.signature, work.texts)
    with stages.stage("calibrate"):
        graph = work.edge.module()
        if wanted.qat:
            graph = _trained(wanted, work, inputs, stages)
        decisions = calibrate(graph, lambda found: settle(found, wanted.choice), methods, inputs)
    with stages.stage("measure"):
        return _measured(work, graph, decisions, methods)


def _trained(
    wanted: Wanted, work: Work, inputs: list[tuple[Tensor, ...]], stages: Stages
) -> GraphModule:
    """The rewritten graph of the model with weights that were trained for their grids."""
    settings = settle(units(work.edge.module()), wanted.choice)

    def tell(step: int, error: float) -> None:
        if step % _TOLD == 0 or step == wanted.qat:
            stages.note(f"trained {step} of {wanted.qat} steps, relative error {error:.2e}")

    trained = qat.train(work.eager, inputs, settings, wanted.qat, progress=tell)
    graph = work.captured.module()
    for node in graph.graph.nodes:
        if node.op == "get_attr" and node.target in trained:
            replace_constant(graph, node, trained[str(node.target)])
    rewrites.apply_all(graph)
    return work.captured.again(graph).module()


def mixed(wanted: Wanted, work: Work, stages: Stages) -> Calibrated:
    """Choose bits tensor by tensor, so that the budget and the floor hold when measured.

    Raises:
        CheckFailed: no choice holds the budget.
    """
    assert wanted.budget is not None
    floor = FLOORS[work.job.scheme].worst_cosine
    budget = replace(wanted.budget, worst_cosine=max(floor, wanted.budget.worst_cosine or 0.0))
    methods = _calibrators(wanted)
    fp32_bytes = prepare.fp32_bytes(work.captured)
    inputs = prepare.calibration_inputs(work.job, work.edge.signature, work.texts)
    with stages.stage("search"):
        graph = work.edge.module()
        search = Search(graph, wanted.choice, methods, inputs, _compared(work))
        if wanted.plot is not None:
            search.plot(wanted.plot, fp32_bytes)
    made: list[Calibrated] = []

    def hold(settings: dict[str, Setting]) -> Missed | None:
        graph = work.edge.module()
        decisions = calibrate(graph, lambda found: dict(settings), methods, inputs)
        made.append(_measured(work, graph, decisions, methods))
        return _missed(made[-1], budget)

    with stages.stage("calibrate"):
        pick = search.choose(budget, fp32_bytes, hold)
    agreed = search.additivity
    record = SearchRecord(
        bytes=budget.most_bytes(fp32_bytes),
        worst_cosine=budget.worst_cosine,
        latency=budget.latency,
        tries=len(made),
        predicted_worst=round(pick.worst_cosine, 7),
        predicted_mean=round(pick.mean_cosine, 7),
        worst_correlation=round(agreed.worst_correlation, 4),
        mean_correlation=round(agreed.mean_correlation, 4),
    )
    return replace(made[-1], search=record)


def simulated(graph: GraphModule, decisions: Decisions) -> nn.Module:
    """A calibrated graph with the activations of its integer linears rounded as in an artifact."""
    return _Simulated(graph, decisions)


class _Simulated(nn.Module):
    def __init__(self, graph: GraphModule, decisions: Decisions) -> None:
        super().__init__()
        found = units(graph)
        self._simulation = Simulation(graph, found)
        self._variant = {
            unit.name: Treatment(weight(graph, unit.name), per_token)
            for unit in found
            if unit.kind == "linear" and unit.name in decisions.grids
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        (output,) = self._simulation.run(self._variant, [inputs])
        return output


def _measured(
    work: Work, graph: GraphModule, decisions: Decisions, methods: Calibrators
) -> Calibrated:
    work.ladder.graph(SIMULATED, simulated(graph, decisions), FLOORS[work.job.scheme])
    # Another attempt may follow: only the last one is a rung.
    hop = work.ladder.hops.pop()
    return Calibrated(
        decisions,
        methods,
        prepare.fp32_bytes(work.captured),
        gates.forecast(weight_bytes(graph).total, decisions.rows),
        hop,
    )


def _missed(made: Calibrated, budget: Budget) -> Missed | None:
    size = budget.most_bytes(made.fp32_bytes)
    small = size is None or made.forecast_bytes <= size
    true = budget.worst_cosine is None or made.hop.worst_cosine >= budget.worst_cosine
    return None if small and true else Missed(made.forecast_bytes, made.hop.worst_cosine)


def _compared(work: Work) -> Any:
    """The part of an output that answers are compared by."""
    meaning, context = task(work.job.task), work.ladder.context

    def rows(output: Floats, arguments: tuple[Tensor, ...]) -> Floats:
        return meaning.rows(output, arguments[0].numpy(), context)

    return rows


def _calibrators(wanted: Wanted) -> Calibrators:
    if wanted.qat:
        return Calibrators(scaling="", rounding="nearest", split=False)
    chosen: dict[str, Any] = {}
    if wanted.scaling is not None:
        chosen["scaling"] = "" if wanted.scaling == NONE else wanted.scaling
    if wanted.rounding is not None:
        chosen["rounding"] = wanted.rounding
    return Calibrators(**chosen)
