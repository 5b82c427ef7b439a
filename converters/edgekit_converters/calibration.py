"""From a rewritten graph to a calibrated and measured one, by a scheme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit.bundle.manifest import HopQuality
from edgekit.floors import FLOORS
from edgekit.stages import Stages
from edgekit_converters import graph as rewrites
from edgekit_converters import prepare
from edgekit_converters.evaluate.ladder import Ladder
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.graph.parameters import replace_constant
from edgekit_converters.job import Job
from edgekit_converters.planning import NONE, Wanted
from edgekit_converters.quantize import gates, qat
from edgekit_converters.quantize.activations import per_tensor, per_token
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, put_vectors, weight
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.record import SearchRecord
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quantize.simulate import Simulation, Treatment
from edgekit_converters.quantize.tweak import tweak
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

    @cached_property
    def inputs(self) -> list[tuple[Tensor, ...]]:
        """The texts as the graph's inputs."""
        return prepare.calibration_inputs(self.job, self.edge.signature, self.texts)

    @cached_property
    def short(self) -> list[tuple[Tensor, ...]]:
        """Some words of each text, as inputs."""
        return prepare.short_inputs(self.job, self.edge.signature, self.texts)


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
        artifact: the answers of the ``.pte`` that a mixed plan was built into; None for a scheme.
    """

    decisions: Decisions
    methods: Calibrators
    fp32_bytes: int
    forecast_bytes: int
    hop: HopQuality
    search: SearchRecord | None = None
    artifact: HopQuality | None = None

    @property
    def hops(self) -> list[HopQuality]:
        """What was measured of it."""
        return [self.hop] if self.artifact is None else [self.hop, self.artifact]


def plain(wanted: Wanted, work: Work, stages: Stages) -> Calibrated:
    """Calibrate as a scheme and a recipe say."""
    methods = calibrators(wanted)
    with stages.stage("calibrate"):
        graph = work.edge.module()
        if wanted.qat:
            graph = _trained(wanted, work, stages)
        decisions = calibrate(
            graph, lambda found: settle(found, wanted.choice), methods, work.inputs
        )
        tweak_vectors(wanted, work, graph, decisions, stages)
    with stages.stage("measure"):
        return measured(work, graph, decisions, methods)


def tweak_vectors(
    wanted: Wanted, work: Work, graph: GraphModule, decisions: Decisions, stages: Stages
) -> None:
    """Train what a calibrated graph still has in float, as many steps as were asked for."""
    if not wanted.tweak or not decisions.grids:
        return
    decisions.vectors = tweak(
        graph,
        work.edge.module(),
        decisions.grids,
        [*work.inputs, *work.short],
        wanted.tweak,
        progress=_teller(stages, "tweaked", wanted.tweak),
    )
    put_vectors(graph, decisions.vectors)
    if not decisions.vectors:
        stages.note("norms and biases stay as they are: training them helped no other text")


def _teller(stages: Stages, done: str, steps: int) -> Callable[[int, float], None]:
    """Says now and then how far a training is."""

    def tell(step: int, error: float) -> None:
        if step % _TOLD == 0 or step == steps:
            stages.note(f"{done} {step} of {steps} steps, relative error {error:.2e}")

    return tell


def _trained(wanted: Wanted, work: Work, stages: Stages) -> GraphModule:
    """The rewritten graph of the model with weights that were trained for their grids."""
    settings = settle(units(work.edge.module()), wanted.choice)
    tell = _teller(stages, "trained", wanted.qat)
    trained = qat.train(work.eager, work.inputs, settings, wanted.qat, progress=tell)
    graph = work.captured.module()
    for node in graph.graph.nodes:
        if node.op == "get_attr" and node.target in trained:
            replace_constant(graph, node, trained[str(node.target)])
    rewrites.apply_all(graph)
    return work.captured.again(graph).module()


def simulated(graph: GraphModule, decisions: Decisions) -> nn.Module:
    """A calibrated graph with the activations of its integer linears rounded as in an artifact."""
    return _Simulated(graph, decisions)


class _Simulated(nn.Module):
    def __init__(self, graph: GraphModule, decisions: Decisions) -> None:
        super().__init__()
        found = units(graph)
        self._simulation = Simulation(graph, found)
        self._variant = {
            unit.name: _treatment(weight(graph, unit.name), decisions.grids[unit.name].ranges)
            for unit in found
            if unit.kind == "linear" and unit.name in decisions.grids
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        (output,) = self._simulation.run(self._variant, [inputs])
        return output


def _treatment(values: Tensor, ranges: Tensor | None) -> Treatment:
    """A linear's weight, and its activations rounded for each token or over fixed ranges."""
    if ranges is None:
        return Treatment(values, per_token)
    low, high, least, greatest = ranges.tolist()
    return Treatment(values, per_tensor(low, high), None, per_tensor(least, greatest))


def measured(
    work: Work, graph: GraphModule, decisions: Decisions, methods: Calibrators
) -> Calibrated:
    """What a calibrated graph comes to, simulated."""
    work.ladder.graph(SIMULATED, simulated(graph, decisions), FLOORS[work.job.scheme])
    # Another attempt may follow: only the last one is a rung.
    hop = work.ladder.hops.pop()
    return Calibrated(
        decisions,
        methods,
        prepare.fp32_bytes(work.captured),
        forecast(graph, decisions),
        hop,
    )


def forecast(graph: GraphModule, decisions: Decisions) -> int:
    """Bytes of an artifact's weights, by what was decided."""
    return gates.forecast(weight_bytes(graph).total, decisions.rows)


def calibrators(wanted: Wanted) -> Calibrators:
    """The methods that were asked for."""
    if wanted.qat:
        static = wanted.scheme.static
        return Calibrators(scaling="", rounding="nearest", split=False, static=static)
    # A lookup takes longer than a cut: worth its bytes where bytes are what is asked for.
    chosen: dict[str, Any] = {
        "static": wanted.scheme.static,
        "ordered": wanted.budget is not None and not wanted.budget.timed,
    }
    if wanted.scaling is not None:
        chosen["scaling"] = "" if wanted.scaling == NONE else wanted.scaling
    if wanted.rounding is not None:
        chosen["rounding"] = wanted.rounding
    return Calibrators(**chosen)
