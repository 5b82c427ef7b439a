"""Data of mteb's suites, from a folder or the hub, written as rows that ``edgekit eval`` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.disk import as_write_errors
from edgekit.errors import InputMissing, InputRefused, SpecError
from edgekit_converters.scoring import hub_files
from edgekit_converters.scoring.hub_files import ENDINGS, Row

_GRADED = ("query-id", "corpus-id", "score")


@dataclass(frozen=True)
class Part:
    """One file of rows that a suite has.

    Attributes:
        label: the suite's name, and its language or split where it has several.
        data: the rows.
        corpus: what they search in; None where they do not search.
        remarks: what a reader must know.
    """

    label: str
    data: Path
    corpus: Path | None = None
    remarks: tuple[str, ...] = ()


def parts(task: Any, data_dir: Path | None, folder: Path) -> list[Part]:
    """Write a suite's rows into a folder, a file for each of its languages and splits.

    Args:
        task: mteb's, of semantic similarity or of retrieval.
        data_dir: holds a folder for each data set, called as on the hub; from the hub when None.
        folder: to write into.

    Raises:
        InputMissing: the data is not there; the wanted files are named.
        InputRefused: the data is not what the suite reads.
        SpecError: mteb itself makes the suite's data, and no folder holds it.
        CannotWrite, StorageFull: the rows cannot be written.
    """
    write = _pairs if task.metadata.type == "STS" else _searches
    found = []
    for subset, split, data in _loaded(task, data_dir):
        several = [subset] * (len(task.hf_subsets) > 1) + [split] * (len(task.eval_splits) > 1)
        label = " ".join([task.metadata.name, *several])
        stem = folder / re.sub(r"[^\w.-]+", "-", label)
        found.append(write(label, stem, data, task))
    return found


def wanted(task: Any, data_dir: Path) -> str:
    """Which files a suite reads, in words."""
    place = data_dir / str(task.metadata.dataset["path"])
    split, ending = task.eval_splits[0], f"{{{','.join(ENDINGS)}}}"
    config = task.hf_subsets[0] if task.metadata.is_multilingual else None
    if task.metadata.type == "STS":
        return f"{place / config if config else place}/{split}.{ending}"
    before = f"{config}-" if config else ""
    names = (f"{before}corpus", f"{before}queries", f"{before}qrels/{split}")
    return " and ".join(f"{place}/{name}.{ending}" for name in names)


def _loaded(task: Any, data_dir: Path | None) -> Iterator[tuple[str, str, Any]]:
    """Language, split and data, as mteb holds it: a table, or corpus, queries and grades."""
    if data_dir is not None:
        yield from _local(task, data_dir)
        return
    try:
        task.load_data()
        if task.metadata.type != "STS":
            task.convert_v1_dataset_format_to_v2(num_proc=None)
    except Exception as error:  # the hub, the network and the loaders fail in many ways
        raise InputMissing(
            f"the data of {task.metadata.name} cannot be had: {str(error)[:200]}",
            hint="Pass --data-dir DIR with a copy: " + wanted(task, Path("DIR")),
        ) from error
    for subset in task.hf_subsets:
        whole = task.dataset.get(subset, task.dataset)
        for split in task.eval_splits:
            yield subset, split, whole[split]


def _local(task: Any, data_dir: Path) -> Iterator[tuple[str, str, Any]]:
    name, dataset = task.metadata.name, str(task.metadata.dataset["path"])
    pairs, several = task.metadata.type == "STS", task.metadata.is_multilingual
    if type(task).load_data.__module__.startswith("mteb.tasks"):
        raise SpecError(
            f"mteb makes the data of {name} itself, and its files alone do not tell how",
            hint="Leave --data-dir out: it is fetched from the hub then.",
        )
    read, count = _table if pairs else _beir, 0
    for subset in task.hf_subsets:
        for split in task.eval_splits:
            part = subset if several else None
            places = hub_files.folders(data_dir, dataset, part)
            if pairs and several:  # a file above holds all languages, or another one
                places = [place for place in places if place.name == subset]
            data: Any = read(places, part, split)
            if data is not None:
                count += 1
                yield subset, split, _transformed(task, subset, split, data) if pairs else data
            elif not several:
                break
    # Of a suite in many languages those are scored that are there.
    if not count or (not several and count < len(task.eval_splits)):
        raise InputMissing(
            f"{data_dir} has no data of {name}", hint=f"Wanted: {wanted(task, data_dir)}"
        )


def _table(places: Sequence[Path], subset: str | None, split: str) -> list[Row] | None:
    found = hub_files.files(places, split)
    return list(hub_files.rows(found)) if found else None


def _transformed(task: Any, subset: str, split: str, rows: list[Row]) -> Any:
    """The table after what mteb does to every copy of the set: names of columns, mostly."""
    from datasets import Dataset, DatasetDict

    tables = DatasetDict({split: Dataset.from_list(rows)})
    task.dataset = {subset: tables} if task.metadata.is_multilingual else tables
    try:
        task.dataset_transform()
    except (KeyError, ValueError, TypeError) as error:
        raise _refused(task.metadata.name, rows[0], str(error)) from error
    return task.dataset.get(subset, task.dataset)[split]


def _beir(places: Sequence[Path], subset: str | None, split: str) -> dict[str, Any] | None:
    """Corpus, queries and grades, each of them as rows that can be read again."""
    before = f"{subset}-" if subset else ""

    def of(stem: str) -> tuple[Path, ...]:
        inside = [place / f"{before}{stem}" for place in places]
        return hub_files.files(inside, split) or hub_files.files([*inside, *places], before + stem)

    corpus, queries = of("corpus"), of("queries")
    inside = [place / f"{before}{name}" for place in places for name in ("qrels", "default")]
    grades = hub_files.files(inside, split) or hub_files.files(places, split)
    if not (corpus and queries and grades):
        return None
    relevant: dict[str, dict[str, float]] = {}
    for row in hub_files.rows(grades):
        query, text, grade = (row.get(name) for name in _GRADED)
        try:
            relevant.setdefault(str(query), {})[str(text)] = float(str(grade))
        except ValueError:
            raise _refused(grades[0].name, row, f"it needs {', '.join(_GRADED)}") from None
    return {
        "corpus": hub_files.rows(corpus),
        "queries": hub_files.rows(queries),
        "relevant_docs": relevant,
    }


def _pairs(label: str, stem: Path, data: Iterable[Row], task: Any) -> Part:
    one, other = (name if isinstance(name, str) else next(iter(name)) for name in task.column_names)
    columns = {"text_a": one, "text_b": other, "score": "score"}

    def made() -> Iterator[Row]:
        for row in data:
            if lacking := [name for name in columns.values() if row.get(name) is None]:
                raise _refused(label, row, f"it needs {', '.join(lacking)}")
            yield {name: row[column] for name, column in columns.items()}

    return Part(label, _written(stem, made()))


def _searches(label: str, stem: Path, data: Mapping[str, Any], task: Any) -> Part:
    """Queries with what answers them, and the corpus; a text that says nothing is in neither."""
    texts: set[str] = set()
    empty = 0

    def corpus() -> Iterator[Row]:
        nonlocal empty
        for row in data["corpus"]:
            identity, text = _identity(label, row), _joined(row)
            empty += not text
            if text:
                texts.add(identity)
                yield {"id": identity, "text": text}

    where = _written(stem.with_name(f"{stem.name}.corpus"), corpus())
    grades, left = data["relevant_docs"], 0

    def queries() -> Iterator[Row]:
        nonlocal left
        for row in data["queries"]:
            identity = _identity(label, row)
            wanted = {key: grade for key, grade in grades.get(identity, {}).items() if grade > 0}
            relevant = {key: grade for key, grade in wanted.items() if key in texts}
            left += bool(wanted) and not relevant
            if relevant:
                same = task.ignore_identical_ids and identity in texts
                yield {
                    "query": row.get("text"),
                    "relevant": relevant,
                    **({"excluded": [identity]} if same else {}),
                }

    queried = _written(stem, queries())
    remarks = []
    if empty:
        remarks.append(f"texts of the corpus that are empty, and left out: {empty}")
    if left:
        remarks.append(f"queries left out, as no text that answers them is there: {left}")
    return Part(label, queried, where, tuple(remarks))


def _identity(label: str, row: Row) -> str:
    value = row.get("_id", row.get("id"))
    if value is None or value == "":
        raise _refused(label, row, "it needs _id")
    return str(value)


def _joined(row: Row) -> str:
    """A text, its title before it, as mteb joins them."""
    return " ".join(str(row[name]) for name in ("title", "text") if row.get(name)).strip()


def _written(stem: Path, rows: Iterable[Row]) -> Path:
    path = stem.with_name(f"{stem.name}.jsonl")
    with as_write_errors(path), path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    return path


def _refused(name: str, row: Row, why: str) -> InputRefused:
    return InputRefused(
        f"a row of the data of {name} is not what the suite reads: {why[:120]}; it has "
        f"{', '.join(map(str, row))}",
        hint="Fetch it again from the hub.",
    )
