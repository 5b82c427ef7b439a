"""``edgekit tune``: a model's folder and rows of data in, the tuned model's folder out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from edgekit.bundle.staging import Staging
from edgekit.errors import InputRefused, SpecError
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters import model_files
from edgekit_converters.folder import check
from edgekit_converters.load import load
from edgekit_converters.pipeline import bundle_name
from edgekit_converters.quiet import quiet
from edgekit_converters.source import Source, resolve
from edgekit_converters.training import data, data_files, trainer
from edgekit_converters.training.data import Data, libraries_quiet
from edgekit_converters.tune import lora, record, sentence_files, tasks
from edgekit_converters.tune.options import AUTO, Options
from edgekit_converters.tune.record import Facts, Tuned
from edgekit_converters.tune.resuming import checkpoint_folder
from edgekit_converters.tune.start import Start, start
from edgekit_converters.tune.tasks import Coding, TuneTask, tune_task

_STAGES = {"data": 2.0, "load": 3.0, "before": 5.0, "train": 100.0, "after": 5.0, "write": 2.0}
_RATE, _LORA_RATE = 5e-5, 5e-4
_EPOCHS = 3.0
_MOST_MEASURED = 2000  # held-out rows; more change the metrics in the last digits only


@dataclass(frozen=True)
class _Rows:
    """Rows of the form and as tokens."""

    data: Data
    train: Dataset
    held_out: Dataset


class _WithLoss(torch.nn.Module):
    """A model that does not give its own loss, and the function that does."""

    def __init__(self, model: Any, loss: Any) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, labels: Any, **tokens: Any) -> dict[str, Any]:
        return {"loss": self._loss(self.model(**tokens), labels)}


def tune(
    model: str | Path,
    options: Options,
    *,
    out: Path | None = None,
    revision: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Tuned:
    """Fine-tune a model on rows of data.

    A run that was killed goes on from its last checkpoint when the same command is given again.

    Args:
        model: a Hugging Face folder, a hub id, or ``minilm``.
        options: task, data, length and speed of the training.
        out: the new folder; ``NAME-tuned`` here when None.
        revision: branch, tag or commit of a hub id.
        force: replace an existing tuned folder.
        progress: told of each stage.

    Returns:
        The new folder: an ordinary Hugging Face one.

    Raises:
        SpecError: a request that names what does not exist or contradicts itself.
        InputMissing, InputRefused, UnsafeInput, WeightsCorrupt, PermissionRefused: the model or
            the data cannot be had or used; a wrong row is named.
        Unsupported: the architecture has no head for the task.
        CheckFailed: training diverged; the step is named.
        TemporaryFailure: another run is training the same output.
        CannotWrite, StorageFull: nothing half-written was left behind.
    """
    stages = Stages(dict(_STAGES), progress)
    source = resolve(model, revision=revision)
    final = out or Path.cwd() / f"{bundle_name(source)}-tuned"
    with Staging(final, force, record.REPORT) as staging:
        config = check(source.folder).config
        with stages.stage("data"), libraries_quiet():
            name = _task(options, config)
            rows = _rows(options, name)
        made = _tuned(source, name, rows, options, staging.folder, final, stages)
        staging.commit()
    stages.finish()
    return Tuned(final, made)


def _task(options: Options, config: dict[str, Any]) -> str:
    """The task that was named, or the one whose columns the data have."""
    if options.task != AUTO:
        tune_task(options.task)
        return options.task
    fitting = data.forms_of(options.data[0], tasks.names(), options.columns)
    if len(fitting) > 1 and {*fitting} == {"text-generation", "text2text-generation"}:
        pairs = bool(config.get("is_encoder_decoder"))
        return "text2text-generation" if pairs else "text-generation"
    if len(fitting) != 1:
        there = ", ".join(data.columns_of(options.data[0]))[:200]
        what = "more than one task" if fitting else "no task"
        raise SpecError(
            f"the columns of {options.data[0].name} fit {what}: {there}",
            hint=f"Say which with --task: {', '.join(fitting or tasks.names())}.",
        )
    return fitting[0]


def _rows(options: Options, name: str) -> _Rows:
    names, kind, labels = options.columns, options.kind, options.labels
    found = data.read(options.data, name, columns=names, kind=kind, labels=labels)
    if options.validation is None:
        train, held_out = data.split(found.rows, share=options.held_out, seed=options.seed)
    else:
        known = labels or found.labels or None
        own = data.read([options.validation], name, columns=names, kind=found.kind, labels=known)
        train, held_out = found.rows, own.rows
    return _Rows(found, train, held_out.select(range(min(len(held_out), _MOST_MEASURED))))


def _tuned(
    source: Source,
    name: str,
    rows: _Rows,
    options: Options,
    folder: Path,
    final: Path,
    stages: Stages,
) -> dict[str, Any]:
    task = tune_task(name)
    with stages.stage("load"):
        begun = start(source, name, task, rows.data, options.max_length, options.seed)
    request = _request(options, begun, rows, name)
    with libraries_quiet(), quiet(), checkpoint_folder(final, request) as place:
        coded = _coded(rows.train, task, begun.coding, place / "train.arrow")
        looked_at = _coded(rows.held_out, task, begun.coding, place / "held-out.arrow")
        settings = _settings(options, len(coded))
        with stages.stage("before"):
            before = task.measured(begun.model, looked_at, begun.coding)
        with stages.stage("train"):
            model, trained = _train(
                begun, task, coded, looked_at, settings, options.lora, place, stages.note
            )
        with stages.stage("after"):
            after = task.measured(model, looked_at, begun.coding)
        with stages.stage("write"):
            facts = Facts(
                task=name,
                base=begun.base,
                fresh=begun.fresh,
                data=rows.data,
                rows=(len(rows.train), len(rows.held_out)),
                settings={**request["settings"], **asdict(settings)},
                trained=record.trained_record(trained),
                before=before,
                after=after,
                labels=_labels(begun.coding.config, rows.data),
            )
            made = record.report(facts, options)
            _write(model, begun, name, task, folder, made)
    return made


def _coded(rows: Dataset, task: TuneTask, coding: Coding, file: Path) -> Dataset:
    coded = tasks.encode(rows, task, coding, file)
    if not len(coded):
        raise InputRefused(
            f"no {file.stem} row keeps anything to learn within {coding.max_length} tokens",
            hint="Give a larger --max-length, or shorter texts.",
        )
    return coded


def _settings(options: Options, rows: int) -> trainer.Settings:
    batch = min(options.batch, rows - rows % options.accumulate or options.accumulate)
    epochs = _EPOCHS if options.epochs is None else options.epochs
    steps = max(1, math.ceil(epochs * rows / batch))
    return trainer.Settings(
        steps=steps if options.steps is None else options.steps,
        batch=batch,
        accumulate=options.accumulate,
        rate=options.learning_rate or (_LORA_RATE if options.lora else _RATE),
        patience=options.patience,
        seed=options.seed,
    )


def _request(options: Options, begun: Start, rows: _Rows, name: str) -> dict[str, Any]:
    """All that the weights depend on."""
    said = {
        field: getattr(options, field)
        for field in ("epochs", "steps", "batch", "accumulate", "learning_rate", "lora")
    }
    said |= {"patience": options.patience, "seed": options.seed, "kind": rows.data.kind}
    validation = options.validation
    return {
        "settings": {**said, "max_length": begun.coding.max_length},
        "task": name,
        "base": begun.base.weights_sha256,
        "data": [rows.data.sha256, sorted(options.columns.items()), options.held_out],
        "validation": None if validation is None else data_files.digest(validation),
        "labels": list(_labels(begun.coding.config, rows.data)),
    }


def _train(
    begun: Start,
    task: TuneTask,
    rows: Dataset,
    held_out: Dataset,
    settings: trainer.Settings,
    lora_rank: int | None,
    place: Path,
    tell: Callable[[str], None],
) -> tuple[Any, trainer.Trained]:
    model = begun.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if lora_rank:
            model = lora.with_adapters(model, lora_rank, task.PEFT_TASK, begun.fresh)
        make_loss = getattr(task, "loss_for", None)
        trainee = _WithLoss(model, make_loss(begun.coding)) if make_loss else model
        collate = task.collator(begun.coding)
        trained = trainer.train(trainee, rows, held_out, collate, settings, place / "run", tell)
    if lora_rank:
        model = lora.merged(model)
    return model.eval(), trained


def _labels(config: Any, found: Data) -> tuple[str, ...]:
    if not found.labels:
        return ()
    return tuple(config.id2label[index] for index in sorted(config.id2label))


def _write(
    model: Any, begun: Start, name: str, task: TuneTask, folder: Path, made: dict[str, Any]
) -> None:
    """Fill the output, and load it once more as anybody would."""
    base = check(begun.base.source.folder)
    model_files.copy_settings(base, folder)
    model.save_pretrained(str(folder), safe_serialization=True)
    _without_origin(folder / "config.json")
    sentence_files.settle(folder, model.config, name, begun.coding.max_length)
    record.write(folder, made, begun.base)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # weights are written for the owner alone
    load(Source(folder, base.folder.name, "folder", None), task.AUTO_CLASS, may_miss=("pooler.",))


def _without_origin(path: Path) -> None:
    """transformers notes where a model was loaded from; that is a path of this machine."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
