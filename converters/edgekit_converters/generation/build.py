"""The stages of a decoder's export, from a loaded model to a sealed folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.goldens import write as write_goldens
from edgekit.bundle.manifest import ArtifactInfo, Generation, Manifest
from edgekit.floors import DECODER_FLOORS
from edgekit.runtime.silence import native_silence
from edgekit.stages import Stages
from edgekit.verify.decoders import MOST_COLUMNS, golden
from edgekit_converters import describe, finish, prepare
from edgekit_converters.evaluate import samples as built_in
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.export.weights import WeightBytes, weight_bytes
from edgekit_converters.generation import executorch, facts, onnx, texts
from edgekit_converters.generation.capture import capture_buffers, capture_passed, prepared
from edgekit_converters.generation.ladder import TokenLadder, first_rungs
from edgekit_converters.generation.quantized import calibrated, replayed
from edgekit_converters.graph import cleanup
from edgekit_converters.job import Job
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.ledger import coverage

CARRIED = (*finish.CARRIED, "generation_config.json", "chat_template.jinja")

_CAPTURES = {"executorch": capture_buffers, "onnx": capture_passed}
# ExecuTorch's attention gives other last bits from call to call: the plan is made on the form that
# has plain operators here, so that the same model gets the same plan.
PLANNED_ON = "onnx"
# Calibration reads each text once; more change the figures in the last digits only.
_CALIBRATION_TEXTS = 48
_GOLDEN_BYTES = 4 * 1024 * 1024

Floats = NDArray[np.float32]


def build(job: Job, folder: Path, stages: Stages, *, keep_failed: bool) -> Manifest:
    """Fill ``folder`` with a decoder's bundle and return its manifest.

    Raises:
        ParityFailed: a hop is below its floor, unless such a bundle is to be kept.
        InputRefused, Unsupported: the model cannot be a decoder here, with the reason.
    """
    with stages.stage("capture"):
        forms, generation = _captured(job)
    stages.note(_memory(generation))
    main = next(iter(forms.values()))
    fp32_bytes = _weights(main, generation).total
    with stages.stage("reference"):
        vocabulary = main.signature.outputs[0].dims[-1].maximum
        chosen = texts.samples(job.loaded, generation, job.texts, vocabulary)
        ladder = first_rungs(job.loaded.model, chosen, generation.context)
        _graph_hop(ladder, "captured", main, "fp32")
    with stages.stage("rewrite"):
        edges = {runtime: executorch.rewritten(form) for runtime, form in forms.items()}
        del forms
        _graph_hop(ladder, "rewritten", next(iter(edges.values())), "fp32")
    if not keep_failed:
        gates.check_quality(ladder.hops, [], "fp32")  # nothing that follows can mend it
    with stages.stage("calibrate"):
        edges, decisions = _calibrated(job, generation, edges)
        if decisions.grids:
            _graph_hop(ladder, "quantized", next(iter(edges.values())), job.scheme)
        gates.check_coverage(decisions.rows)
    made = _artifacts(job, folder, stages, ladder, edges, decisions, (generation, fp32_bytes))
    for note in made.notes:
        stages.note(note)
    if not keep_failed:
        gates.check_quality(ladder.hops, decisions.rows, job.scheme)
    with stages.stage("seal"):
        count = _goldens(folder / "goldens.safetensors", ladder, made.expected)
        manifest = describe.manifest(
            job, main.signature, made.infos, ladder.hops, count, DECODER_FLOORS
        )
        report = made.report | {
            "coverage": coverage(decisions.rows),
            "ledger": [row.record() for row in decisions.rows],
        }
        manifest = manifest.model_copy(update={"generation": generation})
        notes = (_memory(generation), *made.notes)
        return finish.sealed(job, folder, manifest, notes, report, CARRIED)


@dataclass
class _Made:
    """Artifacts on the disk: what they are, what they gave, what is to be said of them."""

    infos: list[ArtifactInfo] = field(default_factory=list)
    expected: dict[str, list[Floats]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    report: dict[str, object] = field(default_factory=dict)


def _artifacts(
    job: Job,
    folder: Path,
    stages: Stages,
    ladder: TokenLadder,
    edges: dict[str, Captured],
    decisions: Decisions,
    known: tuple[Generation, int],
) -> _Made:
    """Lower, write and run each runtime's file; the edge graphs are used up."""
    generation, fp32_bytes = known
    weights = _weights(next(iter(edges.values())), generation)
    groups = describe.groups(decisions.rows, weights)
    # XNNPACK keeps a head of its own where the table is the head, in fp32 as well.
    untied = weights.linear + weights.table + weights.other
    expected_bytes = gates.forecast(untied, decisions.rows)
    made = _Made()
    for runtime, delegate in job.request.delegates.items():
        with stages.stage(f"lower {runtime}"):
            edge = edges.pop(runtime)
            signature = edge.signature
            lowered = _lower(job, edge, decisions, runtime, delegate)
            del edge
            path = folder / lowered.file
            path.write_bytes(lowered.data)
            gates.check_size(lowered.file, len(lowered.data), expected_bytes)
            info = describe.artifact(lowered, job.scheme, fp32_bytes, groups)
            # The first one's is the bundle's.
            own = signature if made.infos else None
            made.infos.append(info.model_copy(update={"signature": own}))
            made.notes += lowered.notes
            made.report |= lowered.report
            del lowered
        with stages.stage(f"run {runtime}"):
            floor = DECODER_FLOORS[job.scheme]
            made.expected[runtime] = ladder.artifact(runtime, path, signature, floor)
    return made


def _captured(job: Job) -> tuple[dict[str, Captured], Generation]:
    """The form that each runtime takes, and what the folder says of generation."""
    loaded = job.loaded
    what = f"{loaded.family} models cannot be captured as a decoder"
    with (
        prepare.or_unsupported(what),
        prepared(loaded.model, loaded.family, loaded.max_length) as decoder,
    ):
        generation = facts.generation(loaded, decoder)
        needed = list(job.request.delegates)
        if job.scheme != "fp32" and PLANNED_ON not in needed:
            needed.append(PLANNED_ON)
        forms = {runtime: _CAPTURES[runtime](decoder) for runtime in needed}
    return forms, generation


def _graph_hop(ladder: TokenLadder, hop: str, form: Captured, scheme: str) -> None:
    # ExecuTorch's attention remarks on every call that it has no arena.
    with native_silence(2):
        ladder.graph(hop, form.module(), form.signature, DECODER_FLOORS[scheme])


def _calibrated(
    job: Job, generation: Generation, edges: dict[str, Captured]
) -> tuple[dict[str, Captured], Decisions]:
    """The edge graphs on one plan: the folder's own, or one that is made now."""
    if job.plan is not None:
        with native_silence(2):
            return {name: replayed(one, job.plan) for name, one in edges.items()}, job.plan
    base = PLANNED_ON if PLANNED_ON in edges else next(iter(edges))
    seen: Sequence[Sequence[int]] = ()
    if job.scheme != "fp32":
        every = built_in.calibration()
        seen = texts.calibration(job.loaded, generation, every, _CALIBRATION_TEXTS)
    name = "none" if job.scheme == "fp32" else job.scheme
    with native_silence(2):
        done, decisions = calibrated(edges[base], name, seen)
    made = {n: done if n == base else replayed(one, decisions) for n, one in edges.items()}
    return made, decisions


def _lower(job: Job, edge: Captured, decisions: Decisions, runtime: str, delegate: str) -> Lowered:
    with prepare.or_unsupported(f"{job.loaded.family} models cannot be lowered for {runtime} here"):
        if runtime == "onnx":
            return onnx.lower(edge, decisions.grids)
        return executorch.lower(edge, decisions.grids, delegate)


def _weights(form: Captured, generation: Generation) -> WeightBytes:
    """Of a form, without the caches that it may hold: they are memory, no file has them."""
    module = form.module()
    cleanup.apply(module)
    found = weight_bytes(module)
    if len(form.signature.inputs) > 2:
        return found
    cache = generation.cache
    held = cache.bytes_per_token * (generation.context + 1)
    return replace(
        found,
        other=found.other - held,
        others=found.others - 2 * cache.layers,
        total=found.total - held,
        count=found.count - 2 * cache.layers,
    )


def _goldens(path: Path, ladder: TokenLadder, expected: dict[str, list[Floats]]) -> int:
    """Write as many samples as fit, spread over the whole set; returns how many."""
    columns = min(MOST_COLUMNS, ladder.reference[0].shape[1])
    row = columns * (8 + 4 * (1 + len(expected)))
    most = max(4, _GOLDEN_BYTES // (row * max(map(len, ladder.reference))))
    step = max(1, -(-len(ladder.samples) // most))
    goldens = [
        golden(
            ladder.samples[i].text,
            ladder.samples[i].passage.ids,
            ladder.reference[i],
            {runtime: rows[i] for runtime, rows in expected.items()},
        )
        for i in range(0, len(ladder.samples), step)
    ]
    write_goldens(path, goldens)
    return len(goldens)


def _memory(generation: Generation) -> str:
    cache = generation.cache
    return (
        f"context of {generation.context} tokens: a cache of {cache.bytes / 1e6:.1f} MB, "
        f"{cache.bytes_per_token / 1e3:.1f} kB a token; --max-context changes it"
    )
