"""``edgekit prune``: a model's folder in, a smaller folder out, with what it saved and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.staging import Staging, require_space
from edgekit.errors import InputRefused
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters import describe, model_files, prepare
from edgekit_converters.evaluate import samples
from edgekit_converters.folder import check
from edgekit_converters.pipeline import bundle_name
from edgekit_converters.prune import folder as folders
from edgekit_converters.prune import measures, report, results
from edgekit_converters.prune.request import Wanted, settled
from edgekit_converters.prune.subject import Subject, subject
from edgekit_converters.quantize.record import present
from edgekit_converters.quiet import quiet
from edgekit_converters.source import Source, resolve

_STAGES = {"load": 5.0, "prune": 60.0, "control": 60.0, "measure": 30.0, "write": 4.0}
_MARGIN_BYTES = 16 * 1024 * 1024
_CHECKPOINTS = 8  # times the weights: two, with what the optimizer knows, and what is kept
WORK = ".training"


@dataclass(frozen=True)
class PrunedFolder:
    """What was made.

    Attributes:
        path: the new folder.
        record: what ``pruning.json`` in it holds.
    """

    path: Path
    record: dict[str, Any]


def prune(
    model: str | Path,
    said: Mapping[str, Any],
    *,
    out: Path | None = None,
    recipe: Path | None = None,
    task: str = "auto",
    max_length: int | None = None,
    samples_file: Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> PrunedFolder:
    """Make a pruned folder.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        said: options by the names of ``request.Wanted``; None where nothing was said.
        out: the new folder; named after the model, the granularity and the amount when None.
        recipe: a TOML file with the same options; those said win.
        task: a name of ``edgekit.tasks``, ``text-generation`` or ``text2text-generation``; ``auto``
            reads it from the config.
        max_length: most tokens in one text; the model's own when None.
        samples_file: texts to measure with, one a line; the built-in ones when None.
        revision: branch, tag or commit of a hub id.
        force: replace an existing pruned folder.
        progress: told of each stage.

    Raises:
        SpecError: a request that names what does not exist or contradicts itself.
        Unsupported: the architecture does not have such units.
        InputMissing, InputRefused, Unavailable, PermissionRefused: model or texts cannot be had.
        CannotWrite, StorageFull: nothing was left behind.
    """
    wanted = settled(said, recipe)
    texts = Corpus.read(wanted, samples_file)
    plan = {n: s for n, s in _STAGES.items() if n != "control" or wanted.control}
    stages = Stages(plan, progress)
    source = resolve(model, revision=revision)
    final = out or Path.cwd() / _name(source, wanted)
    with Staging(final, force, folders.RECORD) as staging:
        with stages.stage("load"):
            original = _load(source, task, max_length, staging.folder, wanted.retrain > 0)
        with quiet(), prepare.one_thread():
            work = staging.folder / WORK
            made = results.make(original, wanted, texts.given, texts.samples, stages, work)
            record = _written(original, wanted, made, staging.folder, texts, stages)
        staging.commit()
    stages.finish()
    return PrunedFolder(final, record)


@dataclass(frozen=True)
class Corpus:
    """Texts of a job.

    Attributes:
        given: the user's, to score and train with; empty where none were given.
        samples: to measure with.
        built_in: whether the samples are edgekit's own.
    """

    given: Sequence[str]
    samples: Sequence[str]
    built_in: bool

    @classmethod
    def read(cls, wanted: Wanted, samples_file: Path | None) -> Corpus:
        """Read what a request names.

        Raises:
            InputMissing, InputRefused, PermissionRefused: a file cannot be used.
        """
        measured = samples.evaluation(samples_file)
        return cls(given(wanted.data), measured, samples_file is None)


def given(path: Path | None) -> Sequence[str]:
    """The user's texts; none for no file.

    Raises:
        InputMissing, InputRefused, PermissionRefused: the file cannot be used.
    """
    if path is None:
        return ()
    from edgekit_converters.training import data

    found = data.read([path], "plain-text")
    if len(found.rows) < samples.FEWEST_CALIBRATION:
        raise InputRefused(
            f"{path} has {len(found.rows)} texts, pruning needs "
            f"{samples.FEWEST_CALIBRATION} at least",
            hint="Give some hundred lines of the text that the app will see.",
            texts=len(found.rows),
        )
    texts: Sequence[str] = found.rows["text"]  # read from the file when they are wanted
    return texts


def _load(
    source: Source, task: str, max_length: int | None, staged: Path, trained: bool
) -> Subject:
    if present(source.folder):
        raise InputRefused(
            f"{source.folder.name} has a quantization plan, which pruning would make void",
            hint="Prune the folder that it was made of, and quantize the result.",
        )
    made = subject(source, task, max_length)
    describe.earlier_stages(made.loaded)  # a malformed record is refused now, not after minutes
    times = 2 + (_CHECKPOINTS if trained else 0)
    require_space(staged, times * model_files.size(check(source.folder)) + _MARGIN_BYTES)
    return made


def _name(source: Source, wanted: Wanted) -> str:
    granularity = wanted.granularity.replace(":", "-")
    return f"{bundle_name(source)}-{granularity}-{round(100 * wanted.amount)}"


def _written(
    original: Subject,
    wanted: Wanted,
    made: results.Result,
    folder: Path,
    texts: Corpus,
    stages: Stages,
) -> dict[str, Any]:
    with stages.stage("write"):
        folders.write(original, made.subject.model, folder)
        if made.vocabulary is not None:
            made.vocabulary.write(folder)
        check(folder)
    with stages.stage("measure"):
        source = original.loaded.source.folder
        pairs = {"before": source, "after": folder} if wanted.measure else None
        models = {"before": original.model, "after": made.subject.model}
        record = report.record(
            original,
            wanted,
            made,
            sizes={
                "before": measures.parameters(original.model) | measures.weight_bytes(source),
                "after": measures.parameters(made.subject.model) | measures.weight_bytes(folder),
            },
            latency=measures.latency(original, models, pairs),
            samples={"count": len(texts.samples), "built in": texts.built_in},
        )
    folders.finish(folder, original, record, report.config(wanted))
    return record
