"""From a request to a measured graph: what every stage that works on a graph begins with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.bundle.manifest import Signature
from edgekit.errors import EdgekitError, SpecError, TextRefused, Unsupported
from edgekit.floors import FLOORS
from edgekit.runtime.encode import MASK, encode
from edgekit.stages import Stages
from edgekit.tasks import halves
from edgekit_converters import describe, families, graph
from edgekit_converters.detect import task_of
from edgekit_converters.evaluate.ladder import Ladder, climb_from, tensors
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.folder import check as check_folder
from edgekit_converters.generation.facts import with_context
from edgekit_converters.graph import attention, cleanup
from edgekit_converters.job import Job
from edgekit_converters.load import Loaded, load
from edgekit_converters.quantize import folder
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.schemes import DEFAULT, require, scheme
from edgekit_converters.request import Request
from edgekit_converters.source import Source
from edgekit_converters.tasks import (
    Wrapped,
    adapted,
    has_token_types,
    head_module,
    input_names,
    sample_text,
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order whatever the machine's processors, so that the same bytes come out.

    It is no slower for one short text at a time, and much faster on a machine that is busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def or_unsupported(what: str) -> Iterator[None]:
    """Torch and the lowerings fail in many ways on an architecture that they cannot take."""
    try:
        yield
    except (EdgekitError, MemoryError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise Unsupported(
            f"{what}: {type(error).__name__}: {reason}",
            hint="docs/families.md lists what is tried; another --runtime or --task may work.",
        ) from error


def loaded_job(
    request: Request,
    source: Source,
    texts: list[str],
    max_length: int | None,
    name: str,
    *,
    samples_given: bool,
) -> Job:
    """Settle the task and load the model; see ``load.load`` for what is refused."""
    config = check_folder(source.folder).config
    task = task_of(source.folder, config) if request.task == "auto" else request.task
    head = head_module(task)
    decoder = _is_decoder(request, task, max_length)
    loaded = load(source, head.AUTO_CLASS, max_length=max_length, may_miss=head.MAY_MISS)
    if decoder and not _reads_text(task):
        loaded = with_context(loaded, request.max_context)
    describe.earlier_stages(loaded)  # a malformed record is refused now, not after minutes
    mask = describe.mask_token(loaded)
    ready = [sample_text(task, text, mask) for text in texts]
    scheme, plan = _weights(request, loaded, task)
    return Job(request, name, task, loaded, ready, samples_given, scheme, plan)


def _is_decoder(request: Request, task: str, max_length: int | None) -> bool:
    """Whether the task's model continues texts; options of the other kind are refused."""
    if getattr(head_module(task), "BUILD", None) is None:
        if request.max_context is not None:
            raise SpecError(
                f"{task} has no context to continue: --max-context is for text-generation",
                hint="--max-length bounds the texts of this task.",
            )
        return False
    if max_length is not None and not _reads_text(task):
        raise SpecError(
            f"--max-length does not go with {task}",
            hint="--max-context bounds prompt and answer together.",
        )
    if request.scheme is not None and request.scheme.static:
        raise Unsupported(
            f"{request.scheme.name} is for models that answer in one pass, and {task} has none",
            hint=f"Use --quantize {request.scheme.better}.",
        )
    if request.batch > 1:
        raise Unsupported(
            f"{task} answers one text at a time: its cache is of one text",
            hint="Leave out --batch.",
        )
    if request.static:
        raise Unsupported(
            "NNAPI cannot run a decoder: its graphs have one fixed length",
            hint="Leave --delegate out.",
        )
    return True


def _reads_text(task: str) -> bool:
    """Whether the text has a length of its own beside that of what is generated."""
    return bool(getattr(head_module(task), "READS_TEXT", False))


def _weights(request: Request, loaded: Loaded, task: str) -> tuple[str, Decisions | None]:
    """What is done to the weights: as asked for, or as the folder's own plan says."""
    found = folder.load(loaded.source.folder, loaded.weights_sha256)
    if found is None:
        usual = scheme(getattr(head_module(task), "SCHEME", DEFAULT))
        return (request.scheme or usual).label, None
    decisions, facts = found
    if request.scheme is not None:
        raise SpecError(
            f"the folder has a quantization plan of its own ({facts.scheme})",
            hint="Leave --quantize out to use it, or export the folder that it was made of.",
        )
    if facts.task != task:
        raise SpecError(
            f"the folder's quantization plan was made for the task {facts.task}, not {task}",
            hint=f"Use --task {facts.task}, or run edgekit quantize for {task}.",
        )
    bits = frozenset(grid.bits for grid in decisions.grids.values())
    require(request.target, request.delegates, bits, "the folder's quantization plan")
    return facts.scheme, decisions


def captured_graph(job: Job) -> tuple[Captured, nn.Module]:
    """The graph, and the eager model that it is measured against.

    Raises:
        Unsupported: the architecture cannot be captured as one graph.
    """
    plain = input_names(job.task, job.loaded.model, job.loaded.tokenizer)
    names = (*plain, MASK) if job.request.static else plain
    return _captured(job, names, static=job.request.static), _wrapped(job, plain)


def batched_graph(job: Job) -> Captured:
    """The edge graph for several texts in one pass, padded to one length; exact in fp32.

    Raises:
        Unsupported: the architecture cannot be captured with a mask and a batch.
    """
    plain = input_names(job.task, job.loaded.model, job.loaded.tokenizer)
    return rewritten(_captured(job, (*plain, MASK), batch=job.request.batch))


def _captured(
    job: Job, names: tuple[str, ...], *, static: bool = False, batch: int = 1
) -> Captured:
    model: Any = job.loaded.model
    limit, output = job.loaded.max_length, head_module(job.task).OUTPUT
    attention.register()
    with or_unsupported(f"{job.loaded.family} models cannot be captured as one graph"):
        model.set_attn_implementation(attention.NAME)
        with families.capturable(model, job.loaded.family, limit):
            captured = capture(_wrapped(job, names), names, output, limit, static, batch)
        model.set_attn_implementation("eager")
    return captured


def _wrapped(job: Job, names: tuple[str, ...]) -> Wrapped:
    """The model and its head behind these inputs."""
    pooled = head_module(job.task).head(job.loaded.source.folder)
    types = has_token_types(job.loaded.config)
    return Wrapped(adapted(job.task, job.loaded.model), pooled, names, types)


def first_rungs(job: Job, signature: Signature, eager: nn.Module) -> Ladder:
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


def rewritten(captured: Captured) -> Captured:
    """The edge graph that every runtime is lowered from; exact in fp32."""
    module = captured.module()
    graph.apply_all(module)
    return captured.again(module)


def rewritten_graph(job: Job, stages: Stages) -> tuple[Captured, nn.Module, Captured, Ladder]:
    """The stages that every job on a graph begins with, measured as far as they go.

    Returns:
        The captured graph, the eager model, the rewritten graph, and the ladder up to it; whether
        its hops hold is for the caller to ask.
    """
    if getattr(head_module(job.task), "BUILD", None) is not None:
        raise Unsupported(
            f"a model for {job.task} has no graph that one pass through it answers",
            hint="edgekit export quantizes it on the way: edgekit export MODEL --quantize SCHEME.",
        )
    with stages.stage("capture"):
        captured, eager = captured_graph(job)
    with stages.stage("reference"):
        ladder = first_rungs(job, captured.signature, eager)
        ladder.graph("exported", captured.module(), FLOORS["fp32"])
    with stages.stage("rewrite"):
        edge = rewritten(captured)
        ladder.graph("rewritten", edge.module(), FLOORS["fp32"])
    return captured, eager, edge, ladder


def fp32_bytes(captured: Captured) -> int:
    """What the graph reads, in fp32: without dead weights such as an unused pooler."""
    module = captured.module()
    cleanup.apply(module)
    return weight_bytes(module).total


def calibration_inputs(
    job: Job, signature: Signature, texts: Sequence[str]
) -> list[tuple[Tensor, ...]]:
    """Texts as the graph's inputs, cut at the model's limit."""
    tokenizer, limit = job.loaded.tokenizer, job.loaded.max_length
    pad, mask = describe.pad_id(job.loaded), describe.mask_token(job.loaded)
    ready = (halves(job.task, sample_text(job.task, text, mask)) for text in texts)
    return [
        tensors(encode(tokenizer, signature, text, limit, pair=pair, pad_id=pad, truncate=True))
        for text, pair in ready
    ]


def short_inputs(job: Job, signature: Signature, texts: Sequence[str]) -> list[tuple[Tensor, ...]]:
    """``shortened`` texts as the graph's inputs, but for those that are too short for it."""
    found = []
    for text in shortened(texts):
        with suppress(TextRefused):
            found += calibration_inputs(job, signature, [text])
    return found


def shortened(texts: Sequence[str], seed: int = 0) -> list[str]:
    """One to four words from somewhere in each text, three times; the same for the same seed.

    Where a model has the least to average over, rounding shows most.
    """
    draw, found = random.Random(seed), []
    for index, text in enumerate(text for text in texts for _ in range(3)):
        words = text.split()
        count = 1 + index % 4
        start = draw.randint(0, max(0, len(words) - count))
        found.append(" ".join(words[start : start + count]))
    return found
