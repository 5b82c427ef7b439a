"""The stages of an export, from a resolved model to a sealed folder.

A task whose head names a ``BUILD`` has stages of its own: a module with a ``build`` like the
``_build`` here, for models that one pass through one graph does not answer.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from edgekit.bundle.goldens import Golden
from edgekit.bundle.goldens import write as write_goldens
from edgekit.bundle.manifest import ArtifactInfo, Manifest
from edgekit.bundle.staging import require_space
from edgekit.floors import FLOORS
from edgekit.stages import Stages
from edgekit.tasks import Floats, halves
from edgekit_converters import describe, finish, prepare
from edgekit_converters.evaluate import samples
from edgekit_converters.evaluate.ladder import Ladder
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.job import Job
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.decisions import Decisions, replay
from edgekit_converters.quantize.ledger import coverage
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.schemes import SCHEMES
from edgekit_converters.quantize.settings import settle
from edgekit_converters.quiet import quiet
from edgekit_converters.request import Request
from edgekit_converters.source import Source
from edgekit_converters.tasks import head_module

_GOLDEN_BYTES = 4 * 1024 * 1024
_MARGIN_BYTES = 16 * 1024 * 1024


def build(
    request: Request,
    source: Source,
    folder: Path,
    stages: Stages,
    max_length: int | None,
    texts: list[str],
    name: str,
    *,
    samples_given: bool,
    keep_failed: bool,
) -> Manifest:
    """Fill ``folder`` with a whole bundle and return its manifest.

    Raises:
        ParityFailed: a hop is below its floor, unless such a bundle is to be kept.
    """
    with stages.stage("load"):
        job = prepare.loaded_job(
            request, source, texts, max_length, name, samples_given=samples_given
        )
        require_space(folder, _estimate(job))
    own = getattr(head_module(job.task), "BUILD", None)
    make = _build if own is None else importlib.import_module(f"{__package__}.{own}").build
    with quiet(), prepare.one_thread():
        made: Manifest = make(job, folder, stages, keep_failed=keep_failed)
        return made


def _build(job: Job, folder: Path, stages: Stages, *, keep_failed: bool) -> Manifest:
    captured, _, edge, ladder = prepare.rewritten_graph(job, stages)
    if not keep_failed:
        gates.check_quality(ladder.hops, [], "fp32")  # nothing that follows can mend it
    fp32_bytes = prepare.fp32_bytes(captured)
    with stages.stage("calibrate"):
        edge, decisions = _calibrated(job, edge)
        gates.check_coverage(decisions.rows)
    if job.request.batch > 1:
        with stages.stage("batch"):
            edge = _batched(job, decisions, ladder)
        if not keep_failed:
            gates.check_quality(ladder.hops, [], "fp32")
    artifacts: list[ArtifactInfo] = []
    expected: dict[str, list[Floats]] = {}
    notes: list[str] = list(_cut_note(job))
    report: dict[str, object] = {}
    weights = weight_bytes(edge.module())
    groups = describe.groups(decisions.rows, weights)
    expected_bytes = gates.forecast(weights.total, decisions.rows)
    for runtime, delegate in job.request.delegates.items():
        with stages.stage(f"lower {runtime}"):
            lowered = _lower(job, edge, decisions, runtime, delegate)
            path = folder / lowered.file
            path.write_bytes(lowered.data)
            artifacts.append(describe.artifact(lowered, job.scheme, fp32_bytes, groups))
            gates.check_size(lowered.file, len(lowered.data), expected_bytes)
            notes += lowered.notes
            report |= lowered.report
        with stages.stage(f"run {runtime}"):
            floor = FLOORS[job.scheme]
            if lowered.graph is not None:
                ladder.graph("lowered", lowered.graph, floor, few=bool(decisions.grids))
            expected[runtime] = ladder.artifact(runtime, path, edge.signature, floor)
        del lowered
    for note in notes:
        stages.note(note)
    if not keep_failed:
        gates.check_quality(ladder.hops, decisions.rows, job.scheme)
    with stages.stage("seal"):
        count = _goldens(folder / "goldens.safetensors", ladder, expected)
        manifest = describe.manifest(job, edge.signature, artifacts, ladder.hops, count)
        report |= {
            "coverage": coverage(decisions.rows),
            "ledger": [row.record() for row in decisions.rows],
        }
        return finish.sealed(job, folder, manifest, tuple(notes), report)


def _calibrated(job: Job, edge: Captured) -> tuple[Captured, Decisions]:
    """The edge graph with weights on their grids, by the folder's plan or calibrated now."""
    graph = edge.module()
    if job.plan is not None:
        replay(graph, job.plan)
        return edge.again(graph), job.plan
    scheme = next(scheme for scheme in SCHEMES.values() if scheme.label == job.scheme)
    inputs = prepare.calibration_inputs(job, edge.signature, samples.calibration())
    methods = Calibrators(static=scheme.static)
    decisions = calibrate(graph, lambda units: settle(units, scheme.choice()), methods, inputs)
    return edge.again(graph), decisions


def _batched(job: Job, decisions: Decisions, ladder: Ladder) -> Captured:
    """The graph for several texts at once, with the decisions that one text a pass led to.

    Calibrated by itself it would learn from what padding adds.
    """
    edge = prepare.batched_graph(job)
    ladder.together(edge.signature, describe.pad_id(job.loaded))
    graph = edge.module()
    ladder.graph("batched", graph, FLOORS["fp32"])
    replay(graph, decisions)
    return edge.again(graph)


def _lower(job: Job, edge: Captured, decisions: Decisions, runtime: str, delegate: str) -> Lowered:
    module = importlib.import_module(f"edgekit_converters.export.{runtime}")
    with prepare.or_unsupported(f"{job.loaded.family} models cannot be lowered for {runtime} here"):
        lowered: Lowered = module.lower(edge, decisions.grids, delegate)
    return lowered


def _goldens(path: Path, ladder: Ladder, expected: dict[str, list[Floats]]) -> int:
    """Write as many samples as fit, spread over the whole set; returns how many."""
    one = max(rows.nbytes for rows in ladder.reference) * (1 + len(expected))
    most = max(4, _GOLDEN_BYTES // one)
    step = max(1, -(-len(ladder.texts) // most))
    chosen = range(0, len(ladder.texts), step)
    goldens = [
        Golden(
            text=ladder.texts[i],
            inputs=ladder.given(i),
            reference=ladder.reference[i],
            expected={runtime: rows[i] for runtime, rows in expected.items()},
        )
        for i in chosen
    ]
    write_goldens(path, goldens)
    return len(goldens)


def _estimate(job: Job) -> int:
    """Bytes that the bundle will take, generously."""
    # By name: a tied weight can lie in a file twice.
    weights = sum(tensor.nbytes for tensor in job.loaded.model.state_dict().values())
    share = 1.0 if job.scheme == "fp32" else 0.5
    return int(weights * share * len(job.request.delegates)) + _MARGIN_BYTES


def _cut_note(job: Job) -> list[str]:
    limit, tokenizer = job.loaded.max_length, job.loaded.tokenizer
    pairs = (halves(job.task, text) for text in job.texts)
    long = sum(len(tokenizer.encode(*pair).ids) > limit for pair in pairs)
    return [f"{long} of {len(job.texts)} samples were cut at {limit} tokens"] if long else []
