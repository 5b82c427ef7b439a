"""The stages of an export, from a resolved model to a sealed folder."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.goldens import Golden
from edgekit.bundle.goldens import write as write_goldens
from edgekit.bundle.manifest import ArtifactInfo, Manifest, Signature
from edgekit.bundle.seal import seal
from edgekit.bundle.staging import require_space
from edgekit.errors import EdgekitError, Unsupported
from edgekit.floors import FLOORS
from edgekit.runtime.encode import encode
from edgekit.stages import Stages
from edgekit.tasks import Floats
from edgekit_converters import card, describe
from edgekit_converters.detect import task_of
from edgekit_converters.evaluate import samples
from edgekit_converters.evaluate.ladder import Ladder, climb_from, tensors
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.folder import check as check_folder
from edgekit_converters.graph import attention, cleanup, views
from edgekit_converters.job import Job
from edgekit_converters.load import load
from edgekit_converters.quantize import smoothquant
from edgekit_converters.quiet import quiet
from edgekit_converters.request import Request
from edgekit_converters.source import Source
from edgekit_converters.tasks import Wrapped, has_token_types, head_module, sample_text

_CARRIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "LICENSE")
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
) -> Manifest:
    """Fill ``folder`` with a whole bundle and return its manifest, certified or not."""
    with stages.stage("load"):
        job = _load(request, source, texts, max_length, samples_given, name)
        require_space(folder, _estimate(job))
    with quiet(), _one_thread():
        return _build(job, folder, stages)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order whatever the machine's processors, so that the same bytes come out.

    It is no slower for one short text at a time, and much faster on a machine that is busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _load(
    request: Request,
    source: Source,
    texts: list[str],
    max_length: int | None,
    given: bool,
    name: str,
) -> Job:
    config = check_folder(source.folder).config
    task = task_of(source.folder, config) if request.task == "auto" else request.task
    head = head_module(task)
    loaded = load(source, head.AUTO_CLASS, max_length=max_length, may_miss=head.MAY_MISS)
    describe.earlier_stages(loaded)  # a malformed record is refused now, not after minutes
    mask = describe.mask_token(loaded)
    ready = [sample_text(task, text, mask) for text in texts]
    return Job(request, name, task, loaded, ready, given)


def _build(job: Job, folder: Path, stages: Stages) -> Manifest:
    with stages.stage("capture"):
        captured, eager = _capture(job)
    with stages.stage("reference"):
        ladder = _climb(job, captured.signature, eager)
        ladder.graph("exported", captured.module(), FLOORS["fp32"])
    with stages.stage("rewrite"):
        edge = _rewrite(job, captured)
        ladder.graph("rewritten", edge.module(), FLOORS["fp32"])
    fp32_bytes = _fp32_bytes(captured)
    artifacts: list[ArtifactInfo] = []
    expected: dict[str, list[Floats]] = {}
    notes: list[str] = list(_cut_note(job))
    report: dict[str, object] = {}
    for runtime, delegate in job.request.delegates.items():
        with stages.stage(f"lower {runtime}"):
            lowered = _lower(job, edge, runtime, delegate)
            (folder / lowered.info.file).write_bytes(lowered.data)
            artifacts.append(lowered.info.model_copy(update={"fp32_bytes": fp32_bytes}))
            notes += lowered.notes
            report |= lowered.report or {}
        with stages.stage(f"run {runtime}"):
            if lowered.graph is not None:
                floor = FLOORS["fp32"] if job.request.scheme == "fp32" else None
                ladder.graph("lowered", lowered.graph, floor)
            path = folder / lowered.info.file
            floor = FLOORS[job.request.scheme]
            expected[runtime] = ladder.artifact(runtime, path, captured.signature, floor)
        del lowered
    for note in notes:
        stages.note(note)
    with stages.stage("seal"):
        count = _goldens(folder / "goldens.safetensors", ladder, expected)
        manifest = describe.manifest(job, captured.signature, artifacts, ladder.hops, count)
        return _seal(job, folder, manifest, tuple(notes), report)


def _capture(job: Job) -> tuple[Captured, nn.Module]:
    """The graph, and the eager model that it is measured against."""
    head = head_module(job.task)
    config = job.loaded.config
    model: Any = job.loaded.model
    plain = head.inputs(config)
    names = (*plain, "attention_mask") if job.request.static else plain
    types = has_token_types(config)
    pooled = head.head(job.loaded.source.folder)
    attention.register()
    wrapped = Wrapped(model, pooled, names, types)
    with _or_unsupported(f"{job.loaded.family} models cannot be captured as one graph"):
        model.set_attn_implementation(attention.NAME)
        captured = capture(wrapped, names, head.OUTPUT, job.loaded.max_length, job.request.static)
        model.set_attn_implementation("eager")
    return captured, Wrapped(model, pooled, plain, types)


def _climb(job: Job, signature: Signature, eager: nn.Module) -> Ladder:
    """Eager answers to every text, through the plain signature without padding."""
    plain = describe.unpadded(signature)
    return climb_from(
        job.task,
        eager,
        plain,
        signature,
        job.loaded.tokenizer,
        job.texts,
        describe.context(job),
        job.loaded.max_length,
        describe.pad_id(job.loaded),
    )


def _rewrite(job: Job, captured: Captured) -> Captured:
    """The edge graph that every runtime is lowered from."""
    graph = captured.module()
    cleanup.apply(graph)
    views.apply(graph)
    if job.request.scheme == "int8":
        tokenizer, limit = job.loaded.tokenizer, job.loaded.max_length
        pad = describe.pad_id(job.loaded)
        inputs = (
            tensors(encode(tokenizer, captured.signature, text, limit, pad_id=pad, truncate=True))
            for text in samples.calibration()
        )
        smoothquant.apply(graph, inputs)
    return captured.again(graph)


def _fp32_bytes(captured: Captured) -> int:
    """What the graph reads, in fp32: without dead weights such as an unused pooler, and before
    smoothing, which gives a tied weight a copy of its own."""
    graph = captured.module()
    cleanup.apply(graph)
    return weight_bytes(graph).total


def _lower(job: Job, edge: Captured, runtime: str, delegate: str) -> Lowered:
    module = importlib.import_module(f"edgekit_converters.export.{runtime}")
    with _or_unsupported(f"{job.loaded.family} models cannot be lowered for {runtime} here"):
        lowered: Lowered = module.lower(edge, job.request.scheme, delegate)
    return lowered


@contextmanager
def _or_unsupported(what: str) -> Iterator[None]:
    """Torch and the lowerings fail in many ways on an architecture that they cannot take."""
    try:
        yield
    except (EdgekitError, MemoryError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise Unsupported(
            f"{what}: {type(error).__name__}: {reason}",
            hint="BERT and DistilBERT are tried; another --runtime or --task may still work.",
        ) from error


def _goldens(path: Path, ladder: Ladder, expected: dict[str, list[Floats]]) -> int:
    """Write as many samples as fit, spread over the whole set; returns how many."""
    one = max(rows.nbytes for rows in ladder.reference) * (1 + len(expected))
    most = max(4, _GOLDEN_BYTES // one)
    step = max(1, -(-len(ladder.texts) // most))
    chosen = range(0, len(ladder.texts), step)
    goldens = [
        Golden(
            text=ladder.texts[i],
            inputs=ladder.inputs[i],
            reference=ladder.reference[i],
            expected={runtime: rows[i] for runtime, rows in expected.items()},
        )
        for i in chosen
    ]
    write_goldens(path, goldens)
    return len(goldens)


def _seal(
    job: Job, folder: Path, manifest: Manifest, notes: tuple[str, ...], report: dict[str, object]
) -> Manifest:
    for name in _CARRIED:
        if (job.loaded.source.folder / name).is_file():
            shutil.copyfile(job.loaded.source.folder / name, folder / name)
    origin = "given with --samples" if job.samples_given else "edgekit's built-in sample file"
    (folder / "README.md").write_text(card.render(manifest, origin, notes), encoding="utf-8")
    measured = {
        "samples": {"count": len(job.texts), "origin": origin},
        "quality": [hop.model_dump(mode="json") for hop in manifest.quality],
        "artifacts": [artifact.model_dump(mode="json") for artifact in manifest.artifacts],
        "notes": list(notes),
        **report,
    }
    (folder / "report.json").write_bytes(dump_bytes(measured))
    return seal(folder, manifest)


def _estimate(job: Job) -> int:
    """Bytes that the bundle will take, generously."""
    # By name: a tied weight can lie in a file twice.
    weights = sum(tensor.nbytes for tensor in job.loaded.model.state_dict().values())
    share = 1.0 if job.request.scheme == "fp32" else 0.5
    return int(weights * share * len(job.request.delegates)) + _MARGIN_BYTES


def _cut_note(job: Job) -> list[str]:
    limit, tokenizer = job.loaded.max_length, job.loaded.tokenizer
    long = sum(len(tokenizer.encode(text).ids) > limit for text in job.texts)
    return [f"{long} of {len(job.texts)} samples were cut at {limit} tokens"] if long else []
