"""The jobs that make something: export and quantize. Each is a request to the converters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.opened import Bundle
from edgekit.api.packages import packages_present
from edgekit.api.paths import path_of
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit_converters.quantize.record import QuantizedFolder


def export(
    model: str | Path,
    *,
    target: str = "android-arm64",
    out: str | Path | None = None,
    task: str = "auto",
    runtimes: Sequence[str] | None = None,
    quantize: str | None = None,
    delegate: str | None = None,
    max_length: int | None = None,
    max_context: int | None = None,
    batch: int = 1,
    samples: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    keep_failed: bool = False,
    progress: ProgressCallback | None = None,
) -> Bundle:
    """Turn a model into a verified bundle: a .pte and an .onnx from one graph, with their proof.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        target: what the artifacts are made for.
        out: the bundle's folder; named after the model and the target unless given.
        task: what the model is for; ``auto`` reads it from the config.
        runtimes: which artifacts to make; all that the target has unless given.
        quantize: a name of ``schemes()``; int8 for a model that reads a text, int4-int8 for one
            that continues it, none where the delegate needs fp32.
        delegate: which accelerator interface to lower for; the runtime's default unless given.
        max_length: longest input in tokens; the model's own limit unless given.
        max_context: most tokens of prompt and answer together, for a model that continues texts;
            the model's own limit, at most 1024, unless given.
        batch: texts of one pass, for an app that has many of them at hand; they come padded to
            one length, with a mask, and each gets the answer that it gets alone.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        force: replace an existing bundle.
        keep_failed: keep a bundle that missed a floor, marked uncertified.
        progress: told of each stage.

    Returns:
        The bundle, checked and open.

    Raises:
        SpecError: an unknown target, task, runtime, delegate or scheme.
        InputMissing: no such model or samples file.
        InputRefused: the model is unsafe, damaged or unusable.
        ParityFailed: an artifact does not give the model's answers; no bundle is left.
        Unsupported: the target, runtime or architecture cannot do what was asked.
        Unavailable: torch and its companions are not installed.
        CannotWrite: the output cannot be written, or exists and ``force`` was not given.
        StorageFull: the disk is full; nothing was left behind.

    Example:
        >>> import edgekit
        >>> bundle = edgekit.export("minilm", out="minilm-android-arm64")  # doctest: +SKIP
        >>> [artifact.file for artifact in bundle.manifest.artifacts]  # doctest: +SKIP
        ['model.pte', 'model.onnx']
    """
    with packages_present():
        from edgekit_converters import pipeline

        folder = pipeline.export(
            model,
            target=target,
            out=path_of(out),
            task=task,
            runtimes=runtimes,
            quantize=quantize,
            delegate=delegate,
            max_length=max_length,
            max_context=max_context,
            batch=batch,
            samples=path_of(samples),
            revision=revision,
            force=force,
            keep_failed=keep_failed,
            progress=progress,
        )
    return Bundle.open(folder)


def schemes() -> tuple[str, ...]:
    """Names that an export's ``quantize`` takes."""
    from edgekit_converters.quantize.schemes import AUTO, SCHEMES

    return (AUTO, *SCHEMES)


def quantize(
    model: str | Path,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples: str | Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> QuantizedFolder:
    """Calibrate a model: the same folder with a quantization plan and its ledger, for ``export``.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        out: the new folder; named after the model and the scheme unless given.
        recipe: TOML file with options, and with bits for single tensors; arguments win over it.
        task: what the model is for; ``auto`` reads it from the config.
        max_length: longest input in tokens; the model's own limit unless given.
        samples: file of real texts, one a line, that quality is measured on.
        revision: branch, tag or commit of a hub model.
        force: replace an existing quantized folder.
        progress: told of each stage.
        options: ``scheme`` (a name of ``schemes()`` or ``mixed``), ``data`` (calibration texts),
            ``scaling``, ``rounding``, ``group``; for a mixed plan ``max_size``, ``min_quality``,
            ``max_latency``, ``plot``. They are what ``edgekit quantize --help`` lists.

    Raises:
        SpecError: an unknown name or option, or options that contradict each other.
        InputMissing, InputRefused: model, recipe or texts are missing, damaged or do not fit.
        CheckFailed: coverage, quality or the budget does not hold; nothing is written.
        Unsupported, Unavailable, CannotWrite, StorageFull: as for ``export``.
    """
    with packages_present():
        from edgekit_converters import planning

        return planning.quantize(
            model,
            planning.options_from(options),
            out=path_of(out),
            recipe=path_of(recipe),
            task=task,
            max_length=max_length,
            samples_file=path_of(samples),
            revision=revision,
            force=force,
            progress=progress,
        )


def open_quantized(path: str | Path) -> QuantizedFolder | None:
    """The plan and ledger of a quantized folder, checked; None where there is no plan.

    Raises:
        InputRefused: it is damaged, or it was made for other weights.
    """
    from edgekit_converters.quantize import record

    return record.opened(Path(path))
