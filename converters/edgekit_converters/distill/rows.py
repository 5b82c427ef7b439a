"""The job's rows: read, checked, split, and no more of them than are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import InputRefused
from edgekit_converters.distill.collate import NumberedRows
from edgekit_converters.distill.measure import MOST_TEXTS
from edgekit_converters.distill.repair import MOST_TEXTS as MOST_FITTED
from edgekit_converters.distill.wanted import Wanted, labelled_form
from edgekit_converters.training import data

_SEARCHED = 256


@dataclass(frozen=True)
class JobRows:
    """Rows of a job, numbered over all of them.

    Attributes:
        train: to train on.
        held_out: to measure on; never trained on.
        every: training rows, then held-out ones; the teacher is asked about these.
        labels: class names in the order of the teacher's outputs; empty where rows have none.
        sha256: digest of the files.
        files: their names.
        total: rows that the files hold.
    """

    train: NumberedRows
    held_out: NumberedRows
    every: NumberedRows
    labels: tuple[str, ...]
    sha256: str
    files: tuple[str, ...]
    total: int

    def searched(self) -> NumberedRows:
        """The training rows that layers are chosen with: the first ones of a random order."""
        return NumberedRows(self.train.first(self._chosen_with))

    def fitted(self) -> NumberedRows:
        """The training rows after them, as many as a repair looks at."""
        first = self._chosen_with
        found = self.train.first(first + MOST_FITTED)[first:]
        return NumberedRows(found, first)

    @property
    def _chosen_with(self) -> int:
        return min(_SEARCHED, -(-len(self.train) // 2))


def read(files: Sequence[Path], wanted: Wanted, task: str, names: tuple[str, ...]) -> JobRows:
    """Read the data of a job.

    Args:
        files: of the user.
        wanted: says the form, the share to hold out, the seed, and how many rows will be used.
        task: of the teacher.
        names: the classes of the teacher, in the order of its outputs.

    Raises:
        InputMissing, InputRefused, PermissionRefused: the files cannot be had or used.
        StorageFull, CannotWrite: the cache of ``datasets`` has no room or refuses.
    """
    found = _labelled(files, task, names) or data.read(files, wanted.form)
    seed = wanted.settings.seed
    train, held_out = data.split(found.rows, share=wanted.held_out, seed=seed)
    used = wanted.settings.steps * wanted.settings.batch
    train = _some(train, used, seed)
    held_out = _some(held_out, MOST_TEXTS, seed)
    both = _Joined(train, held_out)
    labels = names if "labels" in found.rows.column_names else ()
    return JobRows(
        NumberedRows(train),
        NumberedRows(held_out, len(train)),
        NumberedRows(both),
        labels,
        found.sha256,
        found.files,
        len(found.rows),
    )


def _labelled(files: Sequence[Path], task: str, names: tuple[str, ...]) -> data.Data | None:
    """Rows with labels, where the files have them; None where they hold texts alone."""
    form = labelled_form(task)
    if form is None:
        return None
    try:
        return data.read(files, form, kind="single", labels=names)
    except InputRefused as error:
        if "missing" in error.details and "text" not in error.details["missing"]:
            return None
        raise


def _some(rows: Any, count: int, seed: int) -> Any:
    """At most so many rows, in a random order, so that the first ones are as good as any."""
    order = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.select(order)


class _Joined:
    """Rows of two sets, one after the other."""

    def __init__(self, first: Any, second: Any) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, index: int) -> Any:
        if index < len(self._first):
            return self._first[index]
        return self._second[index - len(self._first)]
