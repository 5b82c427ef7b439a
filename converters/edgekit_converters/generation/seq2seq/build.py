"""The stages of an encoder-decoder's export, from a loaded model to a sealed folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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
from edgekit_converters.generation.build import CARRIED
from edgekit_converters.generation.executorch import rewritten
from edgekit_converters.generation.seq2seq import executorch, facts, onnx
from edgekit_converters.generation.seq2seq import samples as texts
from edgekit_converters.generation.seq2seq.capture import (
    DECODE,
    ENCODE,
    capture_buffers,
    capture_encode,
    capture_passed,
    prepared,
)
from edgekit_converters.generation.seq2seq.ladder import TextLadder, first_rungs
from edgekit_converters.generation.seq2seq.quantized import calibrated, replayed
from edgekit_converters.graph import cleanup
from edgekit_converters.job import Job
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.ledger import Row, coverage

# Calibration reads each text once; more change the figures in the last digits only.
_CALIBRATION_TEXTS = 48
_GOLDEN_BYTES = 4 * 1024 * 1024

Methods = dict[str, Captured]
Floats = NDArray[np.float32]


def build(job: Job, folder: Path, stages: Stages, *, keep_failed: bool) -> Manifest:
    """Fill ``folder`` with an encoder-decoder's bundle and return its manifest.

    Raises:
        ParityFailed: a hop is below its floor, unless such a bundle is to be kept.
        InputRefused, Unsupported: the model cannot be one here, with the reason.
    """
    with stages.stage("capture"):
        forms, generation = _captured(job)
    stages.note(_memory(generation))
    with stages.stage("reference"):
        asking = _asking(job, generation)
        vocabulary = _main(forms)[DECODE].signature.outputs[0].dims[-1].maximum
        ladder = first_rungs(asking, texts.samples(asking, job.texts, vocabulary))
        _graph_hop(ladder, "captured", _main(forms), "fp32")
    with stages.stage("rewrite"):
        edges = {
            runtime: {name: rewritten(form) for name, form in methods.items()}
            for runtime, methods in forms.items()
        }
        del forms
        _graph_hop(ladder, "rewritten", _main(edges), "fp32")
    if not keep_failed:
        gates.check_quality(ladder.hops, [], "fp32")  # nothing that follows can mend it
    with stages.stage("calibrate"):
        edges, decisions = _calibrated(job, asking, edges)
        rows = [row for part in decisions.values() for row in part.rows]
        if any(part.grids for part in decisions.values()):
            _graph_hop(ladder, "quantized", _main(edges), job.scheme)
        gates.check_coverage(rows)
    made = _artifacts(job, folder, stages, ladder, edges, decisions, generation)
    if not keep_failed:
        gates.check_quality(ladder.hops, rows, job.scheme)
    with stages.stage("seal"):
        count = _goldens(folder / "goldens.safetensors", ladder, made.expected)
        signature = _main(edges)[DECODE].signature
        manifest = describe.manifest(
            job, signature, made.infos, ladder.hops, count, DECODER_FLOORS
        ).model_copy(update={"generation": generation})
        report = made.report | {
            "coverage": coverage(rows),
            "ledger": [row.record() for row in rows],
        }
        return finish.sealed(job, folder, manifest, (_memory(generation),), report, CARRIED)


@dataclass
class _Made:
    """Artifacts on the disk: what they are, what they gave, what is to be said of them."""

    infos: list[ArtifactInfo] = field(default_factory=list)
    expected: dict[str, list[Floats]] = field(default_factory=dict)
    report: dict[str, object] = field(default_factory=dict)


def _artifacts(
    job: Job,
    folder: Path,
    stages: Stages,
    ladder: TextLadder,
    edges: Mapping[str, Methods],
    decisions: Mapping[str, Decisions],
    generation: Generation,
) -> _Made:
    """Lower, write and run each runtime's files."""
    rows: list[Row] = [row for part in decisions.values() for row in part.rows]
    first = {name: _weights(form, generation) for name, form in _main(edges).items()}
    groups = describe.groups(rows, _sum(list(first.values())))
    expected = {
        name: gates.forecast(first[name].total, decisions[name].rows) for name in (ENCODE, DECODE)
    }
    made = _Made()
    for runtime, delegate in job.request.delegates.items():
        methods = edges[runtime]
        with stages.stage(f"lower {runtime}"):
            files = _lower(job, methods, decisions, runtime, delegate)
            for role, lowered in files.items():
                (folder / lowered.file).write_bytes(lowered.data)
                most = expected[role] if len(files) > 1 else sum(expected.values())
                gates.check_size(lowered.file, len(lowered.data), most)
                made.report |= {f"{role}_{key}": value for key, value in lowered.report.items()}
            # The file that answers stands for both; the one that reads lies beside it.
            last = files[DECODE]
            info = describe.artifact(last, job.scheme, _fp32_bytes(job), groups)
            size = sum(len(lowered.data) for lowered in files.values())
            own = methods[DECODE].signature if made.infos else None
            made.infos.append(info.model_copy(update={"signature": own, "bytes": size}))
        with stages.stage(f"run {runtime}"):
            signature, floor = methods[DECODE].signature, DECODER_FLOORS[job.scheme]
            made.expected[runtime] = ladder.artifact(runtime, folder / last.file, signature, floor)
    return made


def _captured(job: Job) -> tuple[dict[str, Methods], Generation]:
    """The form that each runtime takes, and what the folder says of generation."""
    loaded = job.loaded
    target = facts.target_length(loaded, job.request.max_context)
    what = f"{loaded.family} models cannot be captured as an encoder-decoder"
    with (
        prepare.or_unsupported(what),
        prepared(loaded.model, loaded.family, loaded.max_length, target) as looked,
    ):
        forms: dict[str, Methods] = {}
        for runtime in job.request.delegates:
            take = capture_passed if runtime == onnx.RUNTIME else capture_buffers
            encode = capture_encode(looked, states=runtime == onnx.RUNTIME)
            forms[runtime] = {ENCODE: encode, DECODE: take(looked)}
        return forms, facts.generation(loaded, looked)


def _asking(job: Job, generation: Generation) -> texts.Asking:
    answers = generation.answers
    assert answers is not None
    loaded = job.loaded
    return texts.Asking(
        loaded.model,
        loaded.tokenizer,
        answers.source,
        generation.context,
        answers.start,
        generation.eos_token_ids,
    )


def _graph_hop(ladder: TextLadder, hop: str, methods: Methods, scheme: str) -> None:
    # ExecuTorch's attention remarks on every call that it has no arena.
    with native_silence(2):
        ladder.graphs(hop, methods, DECODER_FLOORS[scheme])


def _calibrated(
    job: Job, asking: texts.Asking, edges: dict[str, Methods]
) -> tuple[dict[str, Methods], dict[str, Decisions]]:
    """The edge graphs on one plan, made on the first runtime's."""
    (first, methods), *others = edges.items()
    fp32 = job.scheme == "fp32"
    seen = texts.pairs(asking, built_in.calibration(), 1 if fp32 else _CALIBRATION_TEXTS)
    with native_silence(2):
        done, decisions = calibrated(methods, "none" if fp32 else job.scheme, seen)
    return {first: done} | {name: replayed(one, decisions) for name, one in others}, decisions


def _lower(
    job: Job,
    methods: Methods,
    decisions: Mapping[str, Decisions],
    runtime: str,
    delegate: str,
) -> dict[str, Lowered]:
    """One file by each role; a ``.pte`` has both, and stands under ``decode``."""
    grids = {name: part.grids for name, part in decisions.items()}
    with prepare.or_unsupported(f"{job.loaded.family} models cannot be lowered for {runtime} here"):
        if runtime == onnx.RUNTIME:
            return {role: onnx.lower(role, methods[role], grids[role]) for role in methods}
        return {DECODE: executorch.lower(methods, grids, delegate)}


def _main(forms: Mapping[str, Methods]) -> Methods:
    return next(iter(forms.values()))


def _weights(form: Captured, generation: Generation) -> WeightBytes:
    """Of a method, without the cache that it may hold: it is memory, no file has it."""
    module = form.module()
    cleanup.apply(module)
    found = weight_bytes(module)
    if all(spec.name != "position" for spec in form.signature.inputs):
        return found
    held = generation.cache.bytes_per_token * (generation.context + 1)
    each = 2 * generation.cache.layers
    return WeightBytes(
        **{
            one.name: getattr(found, one.name)
            - {"other": held, "total": held, "others": each, "count": each}.get(one.name, 0)
            for one in fields(WeightBytes)
        }
    )


def _sum(parts: list[WeightBytes]) -> WeightBytes:
    return WeightBytes(
        **{one.name: sum(getattr(p, one.name) for p in parts) for one in fields(WeightBytes)}
    )


def _fp32_bytes(job: Job) -> int:
    """Of the model's own tensors, one that is read twice counted once."""
    model = job.loaded.model
    every = [*model.parameters(), *model.buffers()]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in every}.values())


def _goldens(path: Path, ladder: TextLadder, expected: Mapping[str, list[Floats]]) -> int:
    """Write as many samples as fit, spread over the whole set; returns how many."""
    columns = min(MOST_COLUMNS, ladder.reference[0].shape[1])
    row = columns * (8 + 4 * (1 + len(expected)))
    most = max(4, _GOLDEN_BYTES // (row * max(map(len, ladder.reference))))
    chosen = range(0, len(ladder.samples), max(1, -(-len(ladder.samples) // most)))
    goldens = []
    for i in chosen:
        sample, made = ladder.samples[i], {name: rows[i] for name, rows in expected.items()}
        passage = sample.passage
        goldens.append(golden(sample.text, passage.ids, ladder.reference[i], made, passage.text))
    write_goldens(path, goldens)
    return len(goldens)


def _memory(generation: Generation) -> str:
    cache, answers = generation.cache, generation.answers
    assert answers is not None
    return (
        f"texts of {answers.source} tokens, answers of {generation.context}: caches of "
        f"{cache.bytes / 1e6:.1f} MB; --max-length and --max-context change them"
    )
