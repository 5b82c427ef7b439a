"""``edgekit compress``: a model and a recipe in, a bundle out, with what each stage saved and cost.

Each stage's folder lies in ``NAME.stages`` beside the output, under a name made of the model, the
data and all stages up to it: a killed run given again goes on from the last whole one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.leftovers import lock
from edgekit.bundle.staging import Staging
from edgekit.errors import InputRefused, TemporaryFailure
from edgekit.stages import Progress, ProgressCallback, Stages
from edgekit_converters import describe, pipeline
from edgekit_converters.compress import recipe as recipes
from edgekit_converters.compress import report, rows
from edgekit_converters.compress.fidelity import Reference
from edgekit_converters.compress.recipe import Recipe, Stage, named
from edgekit_converters.compress.step import Setting, Step
from edgekit_converters.pipeline import bundle_name
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.quantize.record import present
from edgekit_converters.quiet import quiet
from edgekit_converters.source import Source, resolve

WORK = ".stages"
# Expected seconds on two cores; only their proportions matter.
_LOAD, _EXPORT = 5.0, 40.0
_ROWS = "rows"


@dataclass(frozen=True)
class Compressed:
    """What was made.

    Attributes:
        path: the bundle.
        record: figures after each stage and of each artifact, JSON-able.
    """

    path: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class _Run:
    """One job's fixed facts."""

    model: str | Path
    revision: str | None
    source: Source
    setting: Setting
    recipe: Recipe
    reference: Reference
    work: Path
    stages: Stages

    @property
    def max_length(self) -> int | None:
        found: int | None = self.recipe.export.get("max_length")
        return found


def compress(
    model: str | Path,
    recipe: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    task: str = "auto",
    revision: str | None = None,
    force: bool = False,
    keep_stages: bool = False,
    progress: ProgressCallback | None = None,
) -> Compressed:
    """Run a recipe's stages and export the last one's folder.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        recipe: a TOML file, see ``compress.recipe``.
        out: the bundle's folder; named after the model when None.
        data: texts of all stages; a part of them is never trained on and measures.
        task: what the model is for; ``auto`` reads it from its files.
        revision: branch, tag or commit of a hub id.
        force: replace an existing bundle.
        keep_stages: keep the folders of the single stages.
        progress: told of each stage.

    Raises:
        SpecError, Unsupported: of any stage, before the first begins.
        InputMissing, InputRefused, PermissionRefused, Unavailable: model, recipe or data cannot be
            had or used.
        CheckFailed: of a stage or of the export; the stages before it stay for the next run.
        CannotWrite, StorageFull: there is no half of anything.
        TemporaryFailure: another run is at work on the same output.
    """
    read = recipes.read(recipe)
    source = resolve(model, revision=revision)
    final = out or Path.cwd() / f"{bundle_name(source)}-compressed"
    with Staging(final, force):
        pass  # a name that is taken, or a place that refuses, is found out now
    work = final.parent / f"{final.name}{WORK}"
    stages = Stages(_plan(read), progress)
    with _alone(work):
        with stages.stage("load"), quiet():
            setting = _setting(source, recipe, data, task, read, work)
            checked = recipes.checked(read, setting)
        reference = Reference(setting.original, setting.rows.texts)
        run = _Run(model, revision, source, setting, checked, reference, work, stages)
        record = _made(run, final, force)
        stages.finish()
        if not keep_stages:
            shutil.rmtree(work, ignore_errors=True)
    return Compressed(final, record)


def _plan(read: Recipe) -> dict[str, float]:
    of_stages = {stage.name: stage.module.SECONDS for stage in read.stages}
    return {"load": _LOAD, "original in fp32": _EXPORT, **of_stages, "export": _EXPORT}


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold the folder of stages; where no stage was finished it goes again."""
    missing = [path for path in work.parents if not path.exists()]
    with as_write_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    held: int | None = -1
    with contextlib.suppress(OSError):  # no locks on this file system
        held = lock(work)
    if held is None:
        raise TemporaryFailure(
            f"another run is at work in {work.name}",
            hint="Wait until it is done, or choose another -o.",
        )
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if {path.name for path in work.iterdir()} <= {_ROWS}:
                shutil.rmtree(work)
                for path in missing:
                    path.rmdir()
        if held >= 0:
            os.close(held)


def _setting(
    source: Source, recipe: Path, data: Path | None, task: str, read: Recipe, work: Path
) -> Setting:
    if present(source.folder):
        raise InputRefused(
            f"{source.folder.name} has a quantization plan already",
            hint="Start from the folder that it was made of.",
        )
    original = subject(source, task, read.export.get("max_length"))
    describe.earlier_stages(original.loaded)  # a malformed record is refused now
    place = work / _ROWS
    with as_write_errors(place):
        place.mkdir(exist_ok=True)
        found = rows.split(data, place)
    return Setting(original, found, recipe)


def _made(run: _Run, final: Path, force: bool) -> dict[str, Any]:
    base = _base(run)
    lines = [report.original(run.setting.original, run.source.folder, run.reference)]
    folder: Path | None = None
    for stage in run.recipe.stages:
        with named(stage.name), run.stages.stage(stage.name):
            folder = _stage(run, stage, folder)
            lines.append(report.line(stage, folder, run.reference, run.max_length))
    with named("export"), run.stages.stage("export"):
        assert folder is not None
        made = _exported(run, folder, final, force=force, **run.recipe.export)
        artifacts = report.artifacts(made, base, run.reference)
    return {
        "model": run.source.id,
        "task": run.setting.original.task,
        "recipe": [{"kind": stage.kind, **stage.table} for stage in run.recipe.stages],
        "export": run.recipe.export,
        "rows": {
            "trained on": run.setting.rows.trained,
            "held out": run.reference.texts,
            "built in": run.setting.rows.held_out is None,
            "sha256": run.setting.rows.sha256,
        },
        "stages": lines,
        "artifacts": artifacts,
        "toolchain": describe.toolchain(),
    }


def _base(run: _Run) -> Path:
    """The original as fp32 artifacts: what every percentage is of. A model that cannot be exported
    is refused here, before an hour of training.
    """
    place = run.work / f"0-fp32-{_digest(run, [])}" / bundle_name(run.source)
    with named("export of the original in fp32"), run.stages.stage("original in fp32"):
        if place.is_dir():
            return place
        options = {k: v for k, v in run.recipe.export.items() if k != "quantize"}
        return _exported(run, run.model, place, force=False, quantize="none", **options)


def _exported(run: _Run, model: str | Path, out: Path, *, force: bool, **options: Any) -> Path:
    return pipeline.export(
        model,
        out=out,
        task=run.setting.original.task,
        samples=run.setting.rows.held_out,
        revision=run.revision if model is run.model else None,
        force=force,
        progress=_inner(run.stages),
        **options,
    )


def _stage(run: _Run, stage: Stage, before: Path | None) -> Path:
    """The stage's folder, made now or by an earlier run."""
    digest = _digest(run, run.recipe.stages[: stage.number])
    out = run.work / f"{stage.number}-{stage.kind}-{digest}" / bundle_name(run.source)
    if out.is_dir():
        run.stages.note("done by an earlier run")
        return out
    step = Step(
        run.setting, run.model, before, out, run.max_length, run.revision, _inner(run.stages)
    )
    stage.module.run(step, dict(stage.table), stage.settled)
    return out


def _digest(run: _Run, stages: Sequence[Stage]) -> str:
    """Of all that a stage's folder depends on."""
    original: Subject = run.setting.original
    facts = [
        original.loaded.weights_sha256,
        hashlib.sha256(original.loaded.tokenizer.to_str().encode()).hexdigest(),
        original.task,
        run.recipe.export if not stages else run.max_length,
        run.setting.rows.sha256,
        describe.toolchain(),
        [[stage.kind, stage.table] for stage in stages],
    ]
    return hashlib.sha256(dump_bytes(facts)).hexdigest()[:12]


def _inner(stages: Stages) -> ProgressCallback:
    """A stage's own stages, as remarks under its heading."""

    def tell(progress: Progress) -> None:
        if progress.stage == "note":
            stages.note(f"  {progress.note}")
        elif progress.stage != "done":
            stages.note(progress.stage)

    return tell
