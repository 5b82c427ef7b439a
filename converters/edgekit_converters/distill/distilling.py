"""``edgekit distill``: a teacher's folder and data in, a smaller model's folder out."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.bundle.canonical import dump_bytes
from edgekit.bundle.staging import Staging, require_space
from edgekit.errors import Unsupported
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters import describe
from edgekit_converters.distill import cache, folder, repair, report, retraining, rows, runs, world
from edgekit_converters.distill import teacher as teachers
from edgekit_converters.distill.beginnings import (
    Begun,
    begin,
    given,
    is_searched,
    is_smaller,
    thinned,
)
from edgekit_converters.distill.collate import Collate, collate_for
from edgekit_converters.distill.distiller import Teacher
from edgekit_converters.distill.job import Job
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Taught, opened, parameters
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.distill.recipe import read as read_recipe
from edgekit_converters.distill.wanted import Beginning, Wanted, settled
from edgekit_converters.pipeline import bundle_name
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

WORK = ".training"
_MARGIN_BYTES = 64 * 1024 * 1024
# Expected seconds of each stage on two cores; only their proportions matter.
_STAGES = {"load": 4.0, "data": 3.0, "search": 40.0, "teacher": 25.0, "write": 2.0}
_STEP = 0.3
_POOLING = ("_mode", "_normalize")


def distill(
    model: str | Path,
    data: Sequence[Path],
    *,
    out: Path | None = None,
    beginning: Beginning | None = None,
    said: Recipe | None = None,
    recipe: Path | None = None,
    task: str = "auto",
    bridge: bool = False,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> report.Distilled:
    """Teach a student.

    Args:
        model: the teacher: a Hugging Face folder, a hub id, or ``minilm``.
        data: files to learn from; a share of their rows is held out to measure on.
        out: the new folder; named after the teacher unless given.
        beginning: what the student is before training; the whole teacher when None.
        said: settings that win over the recipe.
        recipe: a TOML file, see ``distill.recipe``.
        task: what the teacher is for; ``auto`` reads it from its files.
        bridge: let the student cut texts into other tokens than the teacher.
        revision: of a teacher on the hub.
        force: replace an existing distilled folder.
        progress: told of each stage.

    Raises:
        SpecError: a request that names what does not exist or contradicts itself.
        InputMissing, InputRefused, PermissionRefused, Unavailable: models or data cannot be had,
            or do not fit each other.
        Unsupported: the architecture or the task has no distillation here.
        CheckFailed: the loss is no number any more; the last good checkpoint stays.
        CannotWrite, StorageFull: nothing was left behind but whole checkpoints.
    """
    beginning = beginning or Beginning()
    merged = (said or Recipe()).over(Recipe() if recipe is None else read_recipe(recipe))
    if merged.layers is not None and beginning.layers is None and beginning.config is None:
        beginning = replace(beginning, layers=merged.layers)
    source = resolve(model, revision=revision)
    final = out or Path.cwd() / f"{bundle_name(source)}-distilled"
    steps = merged.steps or 500
    plan = _STAGES | {"train": steps * _STEP, "controls": steps * _STEP}
    stages = Stages(plan, progress if world.is_first() else None)
    with quiet(), _output(final, force) as staging:
        with stages.stage("load"):
            teacher = _teacher(opened(source, task, merged.max_length))
            begun = None
            if beginning.folder is not None:
                begun = given(beginning.folder, teacher, bridge=bridge)
            wanted = settled(
                merged,
                teacher.task,
                teacher.kind,
                bridged=begun is not None and begun.bridged,
            )
        job = _job(teacher, begun, beginning, wanted, data, final, stages)
        made = runs.trained(job)
        found = report.Distilled(final, folder.facts(job, made, final.name))
        if staging is not None:
            with stages.stage("write"):
                folder.write(job, found.report, staging.folder)
                staging.commit()
            _remove(job.work)
    stages.finish()
    return found


@contextlib.contextmanager
def _output(final: Path, force: bool) -> Any:
    """The new folder in the making, in the one process that writes it."""
    if not world.is_first():
        yield None
        return
    with Staging(final, force, report.REPORT) as staging:
        yield staging


def _teacher(teacher: Taught) -> Taught:
    """Refuse outputs that are no distribution.

    Raises:
        Unsupported: it gives a number, or several labels at once.
    """
    config = teacher.loaded.config
    several = getattr(config, "problem_type", None) == "multi_label_classification"
    if teacher.kind == "classes" and (several or int(config.num_labels) < 2):
        raise Unsupported(
            "a classifier that gives several labels at once, or a number, has no distribution "
            "over classes to learn from",
            hint="Distill one with one class a text; edgekit tune trains the others on labels.",
        )
    return teacher


def _job(
    teacher: Taught,
    begun: Begun | None,
    beginning: Beginning,
    wanted: Wanted,
    files: Sequence[Path],
    final: Path,
    stages: Stages,
) -> Job:
    names = _labels(teacher)
    with stages.stage("data"), world.first_goes_first():
        data = rows.read(files, wanted, teacher.task, names)
    seed = wanted.settings.seed
    theirs = collate_for(teacher, data.labels, seed, wanted.reasons)
    with stages.stage("search"):
        begun = _begun(teacher, begun, beginning, wanted, data, theirs, stages)
    own = collate_for(begun.taught, data.labels, seed, wanted.reasons)
    work = _work(final, teacher, begun, wanted, data)
    with stages.stage("teacher"), world.first_goes_first():
        ask = _asked(teacher, begun, wanted, data, theirs, stages)
    room = 3 * 12 * parameters(begun.taught.model) + _MARGIN_BYTES
    require_space(final.parent, room)
    return Job(teacher, begun, wanted, data, own, ask, work, stages)


def _begun(
    teacher: Taught,
    given: Begun | None,
    beginning: Beginning,
    wanted: Wanted,
    data: rows.JobRows,
    theirs: Collate,
    stages: Stages,
) -> Begun:
    """The student: of the teacher, or a folder's own, of which some layers may be enough."""
    seed, whole = wanted.settings.seed, teacher if given is None else given.taught
    own = theirs
    live = teachers.Live(teacher.probe())
    if given is not None and given.bridged:
        own = collate_for(whole, data.labels, seed, wanted.reasons)
        live = teachers.Live(teacher.probe(), theirs, data.every)
    measure, texts = None, []
    if wanted.repair and is_smaller(beginning, whole):
        texts = repair.batches(data.fitted(), own)
    if texts or is_searched(beginning, whole):
        measure = Measure(teacher.kind, live, own, data.searched())
    if given is None:
        return begin(beginning, teacher, measure, seed, stages.note, texts)
    if beginning.layers is None:
        return given
    return thinned(given, beginning.layers, measure, stages.note, texts)


def _labels(teacher: Taught) -> tuple[str, ...]:
    if teacher.kind != "classes":
        return ()
    names = teacher.loaded.config.id2label
    return tuple(str(names[index]) for index in sorted(names))


def _asked(
    teacher: Taught,
    begun: Begun,
    wanted: Wanted,
    data: rows.JobRows,
    collate: Collate,
    stages: Stages,
) -> Teacher | None:
    if not wanted.teacher:
        return None
    names = retraining.asked_names(wanted.terms, begun.taught.model, teacher.model)
    sampled = retraining.needs_sampling(wanted.terms)
    place = None if sampled or not wanted.cache_bytes else cache.place()
    settings = wanted.settings
    key = [
        teacher.loaded.weights_sha256,
        hashlib.sha256(teacher.loaded.tokenizer.to_str().encode()).hexdigest(),
        teacher.task,
        teacher.loaded.max_length,
        data.sha256,
        [len(data.every), wanted.held_out, settings.seed, settings.steps * settings.batch],
        _pooling(teacher),
    ]
    return teachers.asked(
        teacher.probe(),
        collate,
        data.every,
        names,
        key,
        place,
        wanted.cache_bytes,
        stages.note,
        own_tokens=begun.bridged,
    )


def _pooling(teacher: Taught) -> list[str]:
    """How a text's vector is made, for the name of the cache's entry."""
    if teacher.pooling is None:
        return []
    settings = sorted(f"{k}={v}" for k, v in vars(teacher.pooling).items() if k in _POOLING)
    return [type(teacher.pooling).__name__, *settings]


def _work(final: Path, teacher: Taught, begun: Begun, wanted: Wanted, data: rows.JobRows) -> Path:
    """Where the checkpoints of this very request are: another request has another folder."""
    facts = [
        wanted.record(),
        teacher.loaded.weights_sha256,
        teacher.loaded.max_length,
        begun.words,
        begun.taught.loaded.weights_sha256,
        data.sha256,
        data.total,
        describe.toolchain(),
    ]
    return final.parent / f"{final.name}{WORK}" / hashlib.sha256(dump_bytes(facts)).hexdigest()[:16]


def _remove(work: Path) -> None:
    """Checkpoints are of no use once the folder is there; other requests keep theirs."""
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.suppress(OSError):
        work.parent.rmdir()
