"""Score bundles and models on labelled data, side by side."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api.packages import packages_present
from edgekit.errors import SpecError
from edgekit.stages import ProgressCallback

if TYPE_CHECKING:
    from edgekit.scoring.contestants import Contestant
    from edgekit.scoring.evaluation import Options

RUNTIMES = ("eager", "executorch", "onnx", "arm64", "device")


def evaluate(
    models: Sequence[str | Path],
    *,
    data: str | Path | None = None,
    corpus: str | Path | None = None,
    suites: Sequence[str] | None = None,
    data_dir: str | Path | None = None,
    shots: int | None = None,
    runtimes: Sequence[str] | None = None,
    serial: str | None = None,
    task: str = "auto",
    limit: int | None = None,
    slices: Sequence[str] = (),
    robustness: int = 0,
    flips: int = 0,
    baseline: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Score artifacts, and eager models beside them, on one data file.

    Args:
        models: bundles and models (folder, hub id, ``minilm``); the first is what the others are
            held against.
        data: ``.jsonl``, ``.csv`` or ``.tsv``; ``docs/evaluation.md`` lists the columns.
        corpus: a file of texts that the rows of ``data`` search in, by their ids.
        suites: benchmarks instead of ``data``: by lm-eval's names for models that continue texts,
            by mteb's for models that embed them.
        data_dir: local copies of the suites' data; from the hub unless given.
        shots: examples in the suites' prompts; each suite's own number unless given.
        runtimes: of ``RUNTIMES``; every bundle's own that run here unless given. ``eager`` for a
            bundle is the model that it was made from; ``device`` asks its artifacts on a phone.
        serial: which phone; ANDROID_SERIAL, or the only one, unless given.
        task: of models that are no bundles.
        limit: rows to take.
        slices: columns to part the rows by.
        robustness: rows to ask again with typos, other case, spaces, emoji and mixed script.
        flips: examples of changed answers to give.
        baseline: an earlier document, whose first contestant the others are held against.
        out: write the document there; answers are kept beside it until it is done, and a run that
            was stopped goes on from them.
        seed: of resampling and harm.
        workers: that ask rows of ``data`` at the same time; one a processor, and fewer for few
            rows or little memory, unless given.
        progress: told how far it is.

    Returns:
        The document: contestants with figures, intervals, changes, slices and flips.

    Raises:
        SpecError: an unknown runtime, or models that cannot be compared.
        EdgekitError: no phone, and what else one can do wrong, where ``device`` is asked for.
        InputMissing, InputRefused: a model or the data is missing or malformed.
        Unsupported: nothing scores such a model.
        Unavailable: a runtime or a library is not installed.
        CannotWrite, StorageFull: ``out`` cannot be written.

    Example:
        >>> import edgekit
        >>> found = edgekit.evaluate(["my-bundle"], data="labelled.jsonl")  # doctest: +SKIP
        >>> found["contestants"][0]["figures"][0]["value"]  # doctest: +SKIP
        0.91
    """
    from edgekit.scoring import saved

    wanted = _checked(models, data, suites, runtimes)
    if serial is not None and "device" not in wanted:
        raise SpecError(
            "--serial names a phone, and no phone is asked", hint="Add device to --runtime."
        )
    if suites and (baseline is not None or corpus is not None or robustness or slices):
        raise SpecError(
            "--baseline, --corpus, --robustness and --slice are for --data",
            hint="Leave them out with --suite.",
        )
    target = None if out is None else Path(out)
    if target is not None:
        saved.require_writable(target)
    counts = (limit, shots, flips, seed)
    with packages_present():
        work = None if target is None else saved.work_folder(target)
        if suites and _all_embed(models, task):
            asked = _contestants(models, wanted, task, serial)
            place = None if data_dir is None else Path(data_dir)
            whole = _embedding_suites(asked, tuple(suites), place, counts, workers, progress, work)
        elif suites:
            whole = _suites(models, wanted, tuple(suites), data_dir, counts, progress, work)
        elif _any_writes(models, task):
            _refuse_for_writers(baseline=baseline, corpus=corpus, robustness=robustness)
            whole = _passages(models, wanted, data, task, tuple(slices), counts, progress, work)
        else:
            from edgekit.scoring.evaluation import Options

            assert data is not None
            options = Options(limit, tuple(slices), robustness, flips, seed, workers)
            asked = _contestants(models, wanted, task, serial)
            whole = _rows(asked, (Path(data), corpus), options, baseline, work, progress)
        if target is not None:
            saved.write(target, whole)
            shutil.rmtree(saved.work_folder(target), ignore_errors=True)
    return saved.without_marks(whole)


def _rows(
    contestants: Sequence[Contestant],
    data: tuple[Path, str | Path | None],
    options: Options,
    baseline: str | Path | None,
    work: Path | None,
    progress: ProgressCallback | None,
) -> dict[str, Any]:
    """The document of a file of labelled rows, every row's numbers included."""
    from edgekit.scoring import evaluation, saved

    path, corpus = data
    board = evaluation.evaluate(
        contestants,
        path,
        options,
        corpus=None if corpus is None else Path(corpus),
        work=work,
        baseline=None if baseline is None else saved.standing(Path(baseline), contestants[0]),
        progress=progress,
    )
    return board.as_dict(marks=True)


def _checked(
    models: Sequence[str | Path],
    data: str | Path | None,
    suites: Sequence[str] | None,
    runtimes: Sequence[str] | None,
) -> tuple[str, ...]:
    """Refuse what cannot be; gives the runtimes that are asked for."""
    if not models:
        raise SpecError("no bundle and no model is named", hint="Name at least one.")
    if (data is None) == (not suites):
        raise SpecError(
            "either --data or --suite says what is scored",
            hint="edgekit eval BUNDLE --data FILE; or, for a model that continues texts: "
            "edgekit eval BUNDLE --suite arc_easy,piqa",
        )
    for name in runtimes or ():
        if name not in RUNTIMES:
            raise SpecError(f"unknown runtime {name!r}", hint=f"Runtimes: {', '.join(RUNTIMES)}.")
    return tuple(runtimes or ())


def _any_writes(models: Sequence[str | Path], task: str) -> bool:
    """Whether one of them gives texts; bundles are asked without torch."""
    from edgekit.bundle.manifest import MANIFEST_NAME
    from edgekit.bundle.read import load_manifest

    others = []
    for model in models:
        if not (Path(model) / MANIFEST_NAME).is_file():
            others.append(model)
        elif load_manifest(Path(model)).generation is not None:
            return True
    if not others:
        return False
    from edgekit_converters.scoring.settling import writes

    return any(writes(model, task) for model in others)


def _all_embed(models: Sequence[str | Path], task: str) -> bool:
    """Whether they give vectors of texts; bundles are asked without torch."""
    from edgekit.bundle.manifest import MANIFEST_NAME
    from edgekit.bundle.read import load_manifest

    def task_of(model: str | Path) -> str:
        if (Path(model) / MANIFEST_NAME).is_file():
            return load_manifest(Path(model)).task
        from edgekit_converters.scoring.settling import settled_task

        return settled_task(model, task)

    return all(task_of(model) == "sentence-similarity" for model in models)


def _refuse_for_writers(**given: Any) -> None:
    for name, value in given.items():
        if value:
            raise SpecError(
                f"--{name} is not for models that write texts", hint=f"Leave --{name} out."
            )


def _suites(
    models: Sequence[str | Path],
    runtimes: tuple[str, ...],
    names: tuple[str, ...],
    data_dir: str | Path | None,
    counts: tuple[int | None, int | None, int, int],
    progress: ProgressCallback | None,
    work: Path | None,
) -> dict[str, Any]:
    from edgekit.scoring.document import merged
    from edgekit_converters.scoring import harness
    from edgekit_converters.scoring.lineup import lineup

    place = None if data_dir is None else Path(data_dir)
    found = lineup(models, runtimes, suites=True)
    boards = harness.run(found, names, place, harness.Options(*counts), progress, work)
    return merged({name: board.as_dict() for name, board in boards.items()})


def _embedding_suites(
    contestants: Sequence[Contestant],
    names: tuple[str, ...],
    data_dir: Path | None,
    counts: tuple[int | None, int | None, int, int],
    workers: int | None,
    progress: ProgressCallback | None,
    work: Path | None,
) -> dict[str, Any]:
    from edgekit.scoring.document import merged
    from edgekit.scoring.evaluation import Options
    from edgekit_converters.scoring import embedding_suites

    limit, shots, flips, seed = counts
    if shots is not None:
        raise SpecError("--shots is for models that continue texts", hint="Leave --shots out.")
    options = Options(limit, flips=flips, seed=seed, workers=workers)
    boards = embedding_suites.run(contestants, names, data_dir, options, progress, work)
    return merged({name: board.as_dict() for name, board in boards.items()})


def _passages(
    models: Sequence[str | Path],
    runtimes: tuple[str, ...],
    data: str | Path | None,
    task: str,
    slices: tuple[str, ...],
    counts: tuple[int | None, int | None, int, int],
    progress: ProgressCallback | None,
    work: Path | None,
) -> dict[str, Any]:
    from edgekit_converters.scoring import harness, passages
    from edgekit_converters.scoring.lineup import lineup

    assert data is not None
    options = harness.Options(*counts)
    found = lineup(models, runtimes, task)
    return passages.run(found, Path(data), options, slices, progress, work).as_dict()


def _contestants(
    models: Sequence[str | Path], runtimes: tuple[str, ...], task: str, serial: str | None
) -> list[Contestant]:
    from edgekit.bundle.manifest import MANIFEST_NAME
    from edgekit.scoring.contestants import named_apart

    found: list[Contestant] = []
    for model in models:
        if (Path(model) / MANIFEST_NAME).is_file():
            found += _of_bundle(Path(model), runtimes, serial)
        elif not runtimes or "eager" in runtimes:
            found.append(_eager(model, task=task))
        else:
            from edgekit_converters.scoring.lineup import no_bundle

            raise no_bundle(model)
    return named_apart(found)


def _of_bundle(folder: Path, runtimes: tuple[str, ...], serial: str | None) -> list[Contestant]:
    from edgekit.bundle.read import check_files, load_manifest
    from edgekit.scoring.contestants import of_bundle

    manifest = load_manifest(folder)
    check_files(folder, manifest)
    found: list[Contestant] = []
    if "eager" in runtimes:
        base = manifest.base_model
        if base.source == "folder":
            raise SpecError(
                f"the model that {folder.name} was made from is not at hand ({base.id})",
                hint=f"Name its folder as well: edgekit eval {base.id} {folder.name} ...",
            )
        model = "minilm" if base.source == "embedded" else base.id
        limit = manifest.limits.max_length
        found.append(_eager(model, task=manifest.task, max_length=limit, revision=base.revision))
    rest = [name for name in runtimes if name != "eager"]
    if rest or not runtimes:
        found += of_bundle(folder, manifest, rest, serial)
    return found


def _eager(model: str | Path, **settings: Any) -> Contestant:
    from edgekit_converters.scoring.eager import contestant

    return contestant(model, **settings)
