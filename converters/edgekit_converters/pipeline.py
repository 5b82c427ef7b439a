"""Export, from a model's name to a sealed bundle. Each stage reads what the one before made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.manifest import HopQuality
from edgekit.bundle.staging import Staging
from edgekit.errors import ParityFailed
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters import request as requests
from edgekit_converters.evaluate.samples import evaluation
from edgekit_converters.source import Source, resolve

# Expected seconds of each stage on two cores; only their proportions matter.
_PLAN = {
    "load": 4.0,
    "reference": 2.0,
    "capture": 1.0,
    "rewrite": 3.0,
    "calibrate": 8.0,
    "batch": 4.0,
    "lower executorch": 24.0,
    "lower onnx": 4.0,
    "run executorch": 7.0,
    "run onnx": 1.0,
    "seal": 1.0,
}


def export(
    model: str | Path,
    *,
    target: str = "android-arm64",
    out: Path | None = None,
    task: str = "auto",
    runtimes: Sequence[str] | None = None,
    quantize: str | None = None,
    delegate: str | None = None,
    max_length: int | None = None,
    max_context: int | None = None,
    batch: int = 1,
    samples: Path | None = None,
    revision: str | None = None,
    force: bool = False,
    keep_failed: bool = False,
    progress: ProgressCallback | None = None,
) -> Path:
    """Make a bundle.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        target: a name of ``edgekit.targets``.
        out: the bundle's folder; ``NAME-TARGET`` here when None.
        task: a name of ``edgekit.tasks``, or ``auto``.
        runtimes: which artifacts; all of the target's when None.
        quantize: a name of ``quantize.schemes``; None for int8, for int4-int8 where the model is a
            decoder, or for none where the delegate wants fp32.
        delegate: ``xnnpack``, ``nnapi`` or ``none``; each runtime's own when None.
        max_length: most tokens in one text; the model's own when None.
        max_context: most tokens of prompt and answer, for a decoder; the model's own, at most
            ``generation.facts.DEFAULT_CONTEXT``, when None.
        batch: texts of one pass; more than one come padded to one length, with a mask.
        samples: texts to measure with, one a line; the built-in ones when None.
        revision: branch, tag or commit of a hub id.
        force: replace an existing bundle.
        keep_failed: keep a bundle below its floors, marked as not certified.
        progress: told of each stage.

    Returns:
        The bundle's folder.

    Raises:
        SpecError, Unsupported: a request that names what does not exist or does not fit.
        InputMissing, InputRefused, Unavailable, PermissionRefused: the model cannot be had.
        ParityFailed: a hop is below its floor; there is no bundle unless ``keep_failed``.
        CannotWrite, StorageFull: nothing was left behind.
    """
    asked = requests.check(target, task, runtimes, quantize, delegate, max_context, batch)
    texts = evaluation(samples)
    plan = {name: cost for name, cost in _PLAN.items() if _needed(name, asked)}
    stages = Stages(plan, progress)
    source = resolve(model, revision=revision)
    final = out or Path.cwd() / f"{bundle_name(source)}-{asked.target.name}"
    with Staging(final, force) as staging:
        from edgekit_converters.build import build

        manifest = build(
            asked,
            source,
            staging.folder,
            stages,
            max_length,
            texts,
            final.name,
            samples_given=samples is not None,
            keep_failed=keep_failed,
        )
        staging.commit()
    stages.finish()
    if not manifest.certified:
        _refuse(manifest.quality, final)
    return final


def bundle_name(source: Source) -> str:
    """A model's short name, fit for a folder."""
    last = source.id.rstrip("/").rsplit("/", 1)[-1]
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in last).lstrip(".") or "model"


def _needed(stage: str, asked: requests.Request) -> bool:
    if stage == "batch":
        return asked.batch > 1
    runtime = stage.partition(" ")[2]
    return not runtime or runtime in asked.delegates


def _refuse(hops: Sequence[HopQuality], kept: Path) -> None:
    from edgekit.verify import refuse_failed

    try:
        refuse_failed(hops)
    except ParityFailed as error:
        hint = f"Kept as {kept}, marked as not certified."
        raise ParityFailed(error.message, hint=hint, **error.details) from None
