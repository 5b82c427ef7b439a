"""A Hugging Face model as it is, in PyTorch: what every artifact is held against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import nn

from edgekit.bundle.hashing import sha256_file
from edgekit.bundle.manifest import (
    Dim,
    Limits,
    Manifest,
    Signature,
    TensorSpec,
    TokenizerInfo,
)
from edgekit.runtime.encode import Encoder, Inputs
from edgekit.scoring.contestants import EAGER, Contestant
from edgekit.scoring.engines import Answers, clocked
from edgekit_converters import describe
from edgekit_converters.evaluate.ladder import run
from edgekit_converters.job import Job
from edgekit_converters.prepare import loaded_job, one_thread
from edgekit_converters.request import check
from edgekit_converters.source import Source, resolve
from edgekit_converters.tasks import Wrapped, adapted, has_token_types, head_module, input_names

_TARGET = "android-arm64"


class _Engine:
    together = 1

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def run(self, batch: Sequence[Inputs]) -> Answers:
        """One forward pass for each."""
        with one_thread():
            return clocked(lambda inputs: run(self._module, inputs), batch)

    def close(self) -> None:
        """Nothing is held that Python does not release."""


def contestant(
    model: str | Path,
    *,
    task: str = "auto",
    max_length: int | None = None,
    revision: str | None = None,
) -> Contestant:
    """A model as a contestant.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        task: what it is for; ``auto`` reads it from its files.
        max_length: most tokens in one text; the model's own limit when None.
        revision: branch, tag or commit of a hub model.

    Raises:
        SpecError, InputMissing, InputRefused, Unsupported, Unavailable: as for an export.
    """
    source = resolve(model, revision=revision)
    job = loaded_job(
        check(_TARGET, task, None, None, None),
        source,
        [],
        max_length,
        _name(source),
        samples_given=False,
    )
    module, signature = _wrapped(job)
    manifest = _known(job, signature)
    return Contestant(
        name=f"{_name(source)} {EAGER}",
        model=_name(source),
        runtime=EAGER,
        task=job.task,
        problem=manifest.problem,
        encoder=Encoder(source.folder, manifest),
        identity=f"{EAGER} {job.task} {job.loaded.weights_sha256} {job.loaded.max_length}",
        tokenizer=sha256_file(source.folder / "tokenizer.json"),
        open=partial(_Engine, module),
        # Threads share the weights; PyTorch lets go of Python while it computes.
        open_worker=partial(_Engine, module),
        bytes=sum(p.numel() * p.element_size() for p in module.parameters()),
        details={"base_model": source.id, "max_length": job.loaded.max_length},
    )


def _name(source: Source) -> str:
    return source.id.rpartition("/")[2]


def _wrapped(job: Job) -> tuple[nn.Module, Signature]:
    """The model with its head, and the plain inputs that it takes: no padding, any length."""
    loaded, head = job.loaded, head_module(job.task)
    names = input_names(job.task, loaded.model, loaded.tokenizer)
    module = Wrapped(
        adapted(job.task, loaded.model),
        head.head(loaded.source.folder),
        names,
        has_token_types(loaded.config),
    )
    dims = (
        Dim(name="batch", minimum=1, maximum=1),
        Dim(name="tokens", minimum=1, maximum=loaded.max_length),
    )
    inputs = tuple(TensorSpec(name=name, dtype="int64", dims=dims) for name in names)
    return module, Signature(inputs=inputs, outputs=())


def _known(job: Job, signature: Signature) -> Manifest:
    """What an encoder asks of a manifest; a model that is no bundle has no more."""
    context = describe.context(job)
    limit = job.loaded.max_length
    return Manifest.model_construct(
        task=job.task,
        labels=context.labels or None,
        problem=context.problem,
        signature=signature,
        limits=Limits(
            min_length=1, max_length=limit, vocabulary=job.loaded.tokenizer.get_vocab_size()
        ),
        tokenizer=TokenizerInfo(
            kind="",
            pad_token_id=describe.pad_id(job.loaded),
            mask_token_id=context.mask_token_id,
            on_device=False,
        ),
    )
