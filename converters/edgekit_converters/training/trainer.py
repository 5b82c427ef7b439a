"""transformers' ``Trainer``, set up so that a run can be killed and gives the same result anyway.

The same seed, data and settings give the same weights on a CPU, in one go or in pieces. With
torchrun or accelerate several processes share the batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.quiet import quiet
from edgekit_converters.training import checkpoints
from edgekit_converters.training.disk_failures import disk_failures_named
from edgekit_converters.training.settings import Settings as Settings
from edgekit_converters.training.settings import Trained as Trained
from edgekit_converters.training.watching import METRICS as METRICS
from edgekit_converters.training.watching import Tell, watch

BOARD = "tensorboard"
_LOGGED = 1000  # at most so many losses of a run

Collate = Callable[[list[Any]], Mapping[str, Tensor]]


class Rows(Protocol):
    """Training rows by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def train(
    model: nn.Module,
    rows: Rows,
    held_out: Rows | None,
    collate: Collate,
    settings: Settings,
    folder: Path,
    tell: Tell = lambda line: None,
) -> Trained:
    """Train a model in place, going on from the last whole checkpoint in ``folder``.

    Args:
        model: its ``forward(**batch)`` returns a dict (or a transformers output) with ``loss``.
            Where batches need not have ``labels`` it has a parameter ``return_loss`` that is True.
        rows: to train on, by number.
        held_out: to look at; the best weights by their loss are kept. None keeps the last ones.
        collate: rows to the tensors of one batch.
        settings: how long and how fast.
        folder: of this run alone: checkpoints, ``metrics.jsonl`` and ``tensorboard``. The caller
            removes it once the result is safe.
        tell: given a line now and then.

    Raises:
        CheckFailed: the loss is no number any more; the last good checkpoint stays.
        SpecError: the batch does not divide among parts and processes.
        StorageFull, CannotWrite: no room for checkpoints; the last whole one stays.
        TemporaryFailure: another run of the same request is at work in ``folder``.
    """
    with disk_failures_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        finished = checkpoints.kept(folder, model)
    if finished is not None:
        finished["curve"] = tuple((int(at), float(loss)) for at, loss in finished["curve"])
        return Trained(**finished)
    with checkpoints.alone(folder):
        return _trained(model, rows, held_out, collate, settings, folder, tell)


def _trained(
    model: nn.Module,
    rows: Rows,
    held_out: Rows | None,
    collate: Collate,
    settings: Settings,
    folder: Path,
    tell: Tell,
) -> Trained:
    start = checkpoints.newest(folder)
    beside = watch(model, folder, settings, tell, start)
    begin = time.monotonic()
    with quiet(), _board(folder / BOARD), disk_failures_named(folder):
        trainer = _trainer(model, rows, held_out, collate, settings, folder, beside)
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
        state = trainer.state
        curve = tuple(
            (int(entry["step"]), float(entry["loss"]))
            for entry in state.log_history
            if "loss" in entry
        )
        best = state.best_metric
        last = int(state.global_step)
        at = checkpoints.step(Path(state.best_model_checkpoint)) if best is not None else last
        seconds = time.monotonic() - begin
        resumed = 0 if start is None else checkpoints.step(start)
        made = Trained(last, at, best, seconds, curve, resumed)
        if trainer.is_world_process_zero():
            checkpoints.keep(folder, model, asdict(made))
        trainer.accelerator.wait_for_everyone()
    return made


def _trainer(
    model: nn.Module,
    rows: Rows,
    held_out: Rows | None,
    collate: Collate,
    settings: Settings,
    folder: Path,
    beside: Any,
) -> Any:
    from transformers import EarlyStoppingCallback, PrinterCallback, Trainer

    watched = held_out is not None
    more = [EarlyStoppingCallback(settings.patience)] if watched and settings.patience else []
    trainer = Trainer(
        model=model,
        args=_arguments(model, settings, folder, watched),
        train_dataset=_WholeBatches(rows, settings.batch),
        eval_dataset=held_out,
        # Of an object of ours it would try to save the tokenizer.
        data_collator=lambda batch: dict(collate(batch)),
        callbacks=[beside, *more],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(model: nn.Module, settings: Settings, folder: Path, watched: bool) -> Any:
    from transformers import TrainingArguments

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    parts = settings.accumulate * processes
    if settings.batch % parts:
        raise SpecError(
            f"a batch of {settings.batch} rows does not divide by {parts} parts and processes",
            hint=f"Use a --batch that is a multiple of {parts}.",
        )
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch // parts,
        per_device_eval_batch_size=settings.batch // parts,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.rate,
        lr_scheduler_type="linear",
        warmup_steps=round(settings.warmup * settings.steps),
        weight_decay=settings.decay,
        max_grad_norm=settings.clip,
        logging_steps=max(1, settings.steps // _LOGGED),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if watched else "no",
        eval_steps=settings.interval if watched else None,
        save_strategy="steps",
        save_steps=settings.interval,
        save_total_limit=2,
        load_best_model_at_end=watched,
        metric_for_best_model="eval_loss" if watched else None,
        greater_is_better=False if watched else None,
        prediction_loss_only=True,
        label_names=[] if "return_loss" in signature(model.forward).parameters else None,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to=_reports(),
        seed=settings.seed,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and processes > 1 else None,
        ddp_find_unused_parameters=True,
    )


class _WholeBatches:
    """Rows without the few that fill no batch: several processes would make another one of them."""

    def __init__(self, rows: Rows, batch: int) -> None:
        self._rows = rows
        self._count = len(rows) // batch * batch or len(rows)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._rows[index]


def _reports() -> list[str]:
    from importlib.util import find_spec

    return ["tensorboard"] if find_spec("tensorboard") else []


@contextmanager
def _board(place: Path) -> Iterator[None]:
    """Tell transformers' TensorBoard callback where to write; it reads the environment only."""
    name = "TENSORBOARD_LOGGING_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(place)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
