"""The user's training data: files in, checked rows out, memory-mapped by ``datasets``.

Rows are read one at a time, checked, and kept as Arrow files in the cache of ``datasets``
(``HF_DATASETS_CACHE``), under a name made of the files' content: a second run reads them from
there, and memory does not grow with the data.

Example:
    data = read([Path("tickets.csv")], "text-classification")
    train, held_out = split(data.rows, share=0.1, seed=0)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from datasets import config as datasets_config
from datasets.utils import logging as datasets_logging

from edgekit.bundle.disk import FULL, REFUSED, as_write_errors, write_error
from edgekit.errors import EdgekitError, InputRefused, SpecError
from edgekit_converters.training import data_files, data_forms
from edgekit_converters.training.data_forms import Form, RowRefused, Said

_VERSION = 1  # of what a checked row is; a change makes cached rows stale
_TYPES = {str: "string", float: "float64", int: "int64"}
_FEWEST = 2
_AT_ONCE = 1000


@dataclass(frozen=True)
class Data:
    """Checked rows.

    Attributes:
        rows: with the columns of the form's ``FEATURES``.
        form: the form's name.
        kind: which kind of the form, such as ``single`` or ``messages``.
        labels: those that may occur, else those that do, in order of their names; empty where
            there are none.
        sha256: digest of the files' content, in the order given.
        files: the files' names, never their folders.
    """

    rows: Dataset
    form: str
    kind: str
    labels: tuple[str, ...]
    sha256: str
    files: tuple[str, ...]


def read(
    files: Sequence[Path],
    form: str,
    *,
    columns: Mapping[str, str] | None = None,
    kind: str | None = None,
    labels: Sequence[str] | None = None,
) -> Data:
    """Read and check files of one form.

    Args:
        files: CSV, TSV, JSONL, parquet or TXT, all of the same columns.
        form: a name of ``data_forms.names()``: a task, ``rationale`` or ``plain-text``.
        columns: our name of a column -> its name in the files, where they differ.
        kind: the kind of data, where its values do not tell (``regression`` for whole numbers).
        labels: the only labels that may occur, in the order of their indexes.

    Raises:
        InputMissing: no such file.
        InputRefused: no rows, a missing column, a wrong row (its number is in ``details``), not
            UTF-8, or one class only.
        PermissionRefused: a file may not be read.
        SpecError: an unknown form or kind.
        StorageFull, CannotWrite: the cache has no room or refuses.
    """
    module = data_forms.form(form)
    if kind is not None and kind not in module.NEEDS:
        raise SpecError(f"no {form} data is {kind!r}", hint=f"One of: {', '.join(module.NEEDS)}.")
    said = Said(kind, None if labels is None else tuple(labels))
    renamed = {theirs: ours for ours, theirs in (columns or {}).items()}
    digests = [data_files.digest(path) for path in files]
    found = _kind(files, module, renamed, said)
    key = [_VERSION, form, found, sorted(renamed.items()), labels, digests]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]

    def checked() -> Iterator[data_forms.Row]:
        for path in files:
            yield from _checked(path, module, renamed, found, said)

    rows = _kept(checked, module, name)
    if len(rows) < _FEWEST:
        raise InputRefused(
            f"{_named(files)} has {len(rows)} row; training and checking need {_FEWEST} at least",
            hint="Some hundred rows are what a first attempt needs.",
            rows=len(rows),
        )
    present = _labels(rows, form, found, files)
    if present and labels is not None:
        present = tuple(labels)
    everything = hashlib.sha256("".join(digests).encode()).hexdigest()
    sha256 = digests[0] if len(digests) == 1 else everything
    return Data(rows, form, found, present, sha256, tuple(path.name for path in files))


def forms_of(
    path: Path, names: Sequence[str], columns: Mapping[str, str] | None = None
) -> list[str]:
    """Which of the named forms a file's columns make: those that use most of its columns.

    Args:
        path: of a data file.
        names: of forms.
        columns: our name of a column -> its name in the file.

    Raises:
        InputMissing, InputRefused, PermissionRefused: the file has no first row to look at.
    """
    renamed = {theirs: ours for ours, theirs in (columns or {}).items()}
    there = set(_first(path, renamed))
    used = {}
    for name in names:
        needs = data_forms.form(name).NEEDS.values()
        used[name] = max((len(need) for need in needs if there.issuperset(need)), default=0)
    most = max(used.values(), default=0)
    return [name for name in names if used[name] == most] if most else []


def columns_of(path: Path) -> list[str]:
    """The names of a file's columns, as its first row has them.

    Raises:
        InputMissing, InputRefused, PermissionRefused: the file has no first row.
    """
    return list(_first(path, {}))


def split(rows: Dataset, *, share: float = 0.1, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Training rows and held-out rows; rows that are equal are all on one side.

    Args:
        rows: of ``read``.
        share: of the rows to hold out, 0 to 1; at least one row is on each side.
        seed: of the choice.

    Raises:
        SpecError: no such share.
        InputRefused: all rows are equal.
    """
    if not 0 < share < 1:
        raise SpecError(f"a share of {share} cannot be held out", hint="From 0.01 to 0.5.")
    # Eight bytes a row; the rows themselves stay on the disk.
    keys = np.fromiter(_fingerprints(rows), dtype=np.uint64, count=len(rows))
    different = np.unique(keys)
    if len(different) < _FEWEST:
        raise InputRefused("all rows are equal", hint="Give data that differ.")
    count = min(max(round(len(different) * share), 1), len(different) - 1)
    chosen = np.random.default_rng(seed).choice(different, count, replace=False)
    held_out = np.isin(keys, chosen)
    return rows.select(np.flatnonzero(~held_out)), rows.select(np.flatnonzero(held_out))


def _fingerprints(rows: Dataset) -> Iterator[int]:
    for batch in rows.iter(batch_size=_AT_ONCE):
        for row in zip(*batch.values(), strict=True):
            content = json.dumps(row, sort_keys=True).encode()
            yield int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _kind(files: Sequence[Path], module: Form, renamed: Mapping[str, str], said: Said) -> str:
    """What the first record, in columns and values, is."""
    if not files:
        raise SpecError("no data file is given", hint="Name one with --data.")
    record = _first(files[0], renamed)
    found = _matching(files[0], list(record), module, said)
    if said.kind is None and (refine := getattr(module, "kind", None)) is not None:
        return str(refine(record, found, said))
    return found


def _first(path: Path, renamed: Mapping[str, str]) -> dict[str, Any]:
    first = next(data_files.records(path), None)
    if first is None:
        raise InputRefused(f"{path.name} has no rows", hint="Give a file with data in it.")
    return _renamed(first[1], renamed)


def _matching(path: Path, there: list[str], module: Form, said: Said) -> str:
    kinds = [said.kind] if said.kind else list(module.NEEDS)
    for kind in kinds:
        if set(module.NEEDS[kind]) <= set(there):
            return kind
    # The kind that lacks least is the one that was meant.
    lacking = min(
        ([name for name in module.NEEDS[kind] if name not in there] for kind in kinds), key=len
    )
    forms = dict.fromkeys(", ".join(module.NEEDS[kind]) for kind in kinds)
    near = get_close_matches(lacking[0], there, n=1, cutoff=0.5)
    mapping = f" If {near[0]!r} is it: --column {lacking[0]}={near[0]}." if near else ""
    raise InputRefused(
        f"{path.name} has no column {lacking[0]!r}; its columns are: {', '.join(there)[:200]}",
        hint=f"Needed: {'; or '.join(forms)}.{mapping}",
        missing=lacking,
        columns=there,
    )


def _checked(
    path: Path, module: Form, renamed: Mapping[str, str], kind: str, said: Said
) -> Iterator[data_forms.Row]:
    number = 0
    for where, record in data_files.records(path):
        number += 1
        try:
            yield module.row(_renamed(record, renamed), kind, said)
        except RowRefused as error:
            raise InputRefused(
                f"{path.name}, {where} {error}",
                hint="Mend or remove this row; nothing was trained.",
                row=number,
                file=path.name,
            ) from None
    if not number:
        raise InputRefused(f"{path.name} has no rows", hint="Give a file with data in it.")


def _renamed(record: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    if not renamed:
        return dict(record)
    ours = set(renamed.values())
    kept = {name: value for name, value in record.items() if name not in ours}
    return kept | {renamed[name]: record[name] for name in record if name in renamed}


def _kept(rows: Callable[[], Iterator[data_forms.Row]], module: Form, name: str) -> Dataset:
    """The rows in the cache, written there unless they are."""
    cache = Path(datasets_config.HF_DATASETS_CACHE)
    features = Features({column: _feature(kind) for column, kind in module.FEATURES.items()})
    try:
        with as_write_errors(cache), libraries_quiet():
            return Dataset.from_generator(rows, features=features, fingerprint=name)
    except Exception as error:
        # The library wraps what the generator raised.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, EdgekitError):
                raise cause from None
            if isinstance(cause, OSError) and cause.errno in FULL | REFUSED:
                raise write_error(cause, cache) from error
            cause = cause.__cause__ or cause.__context__
        raise


def _feature(kind: Any) -> Any:
    if isinstance(kind, list):
        return List(_feature(kind[0]))
    if isinstance(kind, dict):
        return {name: _feature(inner) for name, inner in kind.items()}
    return Value(_TYPES[kind])


def _labels(rows: Dataset, form: str, kind: str, files: Sequence[Path]) -> tuple[str, ...]:
    if "labels" not in rows.column_names or kind == "regression":
        return ()
    found: set[str] = set()
    for batch in rows.select_columns("labels").iter(batch_size=_AT_ONCE):
        found.update(label for labels in batch["labels"] for label in labels)
    if len(found) < _FEWEST:
        raise InputRefused(
            f"{_named(files)} has one class only: {', '.join(sorted(found)) or 'no label at all'}",
            hint="A model that always says the same needs no training; give rows of other classes.",
            labels=sorted(found),
        )
    numbers = all(label.isdecimal() for label in found)
    return tuple(sorted(found, key=int) if numbers else sorted(found))


def _named(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files)


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """No progress bars and log lines of ``datasets`` inside."""
    import datasets

    bars, level = datasets.are_progress_bars_disabled(), datasets_logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets_logging.set_verbosity(datasets_logging.CRITICAL)
    try:
        yield
    finally:
        datasets_logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()
