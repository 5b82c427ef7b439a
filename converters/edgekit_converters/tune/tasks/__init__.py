"""What fine-tuning for a task needs. One task a file, named as its data form is.

Each module gives:

- ``AUTO_CLASS``: transformers' auto class of the model that is trained.
- ``PEFT_TASK``: what peft calls the task.
- ``settings(data, config)``: keys of config.json that the data decide, such as label names.
- ``encoded(batch, coding)``: rows of the form as token ids and targets, a batch of columns to a
  batch of columns. A row may become several, or none.
- ``collator(coding)``: makes a padded batch of encoded rows.
- ``measured(model, rows, coding)``: metrics of a model on encoded rows, the leading one first.

and ``loss_for(coding)``, a function of the model's outputs and the batch's ``labels``, where the
model does not give its own loss.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from datasets import Dataset

from edgekit.errors import SpecError
from edgekit_converters.training.data import Data

Batch = Mapping[str, list[Any]]
Columns = dict[str, list[Any]]
Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]

IGNORED = -100  # of a target: torch's cross-entropy leaves it out
_MEASURED_AT_ONCE = 16


@dataclass(frozen=True)
class Coding:
    """How rows become tokens.

    Attributes:
        tokenizer: a transformers tokenizer over the folder's ``tokenizer.json``.
        folder: the model's folder.
        config: the model's configuration, labels included.
        kind: which kind of data.
        max_length: most tokens of one input.
        inputs: names of token inputs that the model takes.
    """

    tokenizer: Any
    folder: Path
    config: Any
    kind: str
    max_length: int
    inputs: tuple[str, ...]

    def tokens(self, *texts: Any, **more: Any) -> dict[str, list[Any]]:
        """Token inputs of texts, or of pairs, cut at the limit; only those the model takes."""
        coded = self.tokenizer(*texts, truncation=True, max_length=self.max_length, **more)
        return {name: coded[name] for name in self.inputs}

    def padded(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Token inputs of equal length, as tensors."""
        tokens = [{name: row[name] for name in self.inputs} for row in rows]
        return dict(self.tokenizer.pad(tokens, padding=True, return_tensors="pt"))


class TuneTask(Protocol):
    """The interface of a module in this package."""

    AUTO_CLASS: str
    PEFT_TASK: str

    def settings(self, data: Data, config: Any) -> dict[str, Any]: ...  # noqa: D102

    def encoded(self, batch: Batch, coding: Coding) -> Columns: ...  # noqa: D102

    def collator(self, coding: Coding) -> Collator: ...  # noqa: D102

    def measured(  # noqa: D102
        self, model: Any, rows: Dataset, coding: Coding
    ) -> dict[str, float]: ...


def names() -> list[str]:
    """Every task's name, as people write it."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(path.stem.replace("_", "-") for path in files if path.stem != "__init__")


def tune_task(name: str) -> TuneTask:
    """The module of a task.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in names():
        raise SpecError(f"no fine-tuning for {name!r}", hint=f"Tasks: {', '.join(names())}.")
    return cast(TuneTask, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def batches(model: Any, rows: Dataset, collate: Collator) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each batch of encoded rows with the model's outputs, in order, without gradients."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(rows), _MEASURED_AT_ONCE):
                chosen = rows.select(range(start, min(start + _MEASURED_AT_ONCE, len(rows))))
                batch = collate(list(chosen))
                placed = {
                    name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                    for name, value in batch.items()
                }
                labels = placed.pop("labels", None)
                yield {**placed, "labels": labels}, model(**placed)
    finally:
        model.train(training)


def encode(rows: Dataset, task: TuneTask, coding: Coding, file: Path) -> Dataset:
    """Rows of a form as token ids and targets, memory-mapped from a file of their own."""
    return rows.map(
        lambda batch: task.encoded(batch, coding),
        batched=True,
        remove_columns=rows.column_names,
        cache_file_name=str(file),
        load_from_cache_file=False,
        new_fingerprint=file.stem,  # hashing a tokenizer takes longer than coding small data
    )
