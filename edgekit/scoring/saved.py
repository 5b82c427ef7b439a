"""Documents of evaluations on the disk: written whole or not at all, read back as a baseline."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bundle.disk import as_write_errors
from edgekit.errors import CannotWrite, InputMissing, InputRefused, SpecError
from edgekit.scoring import document, kinds
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.document import Standing
from edgekit.scoring.journal import FINE, Kept

_HINT = "Write one with: edgekit eval ... -o FILE.json"
_MOST_BYTES = 1 << 30


def require_writable(path: Path) -> None:
    """Refuse a name before long work rather than after it.

    Raises:
        CannotWrite: its folder is missing or not to be written, or the name is a folder's.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CannotWrite(f"no such folder: {folder}", hint="Make it, or choose another name.")
    if path.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise CannotWrite(f"cannot write {path}", hint="Choose another name.")


def work_folder(path: Path) -> Path:
    """Where answers are kept until the document is written."""
    return path.absolute().with_name(f".{path.name}.answers")


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write a document; the name never holds half of one.

    Raises:
        CannotWrite: the system refuses it.
        StorageFull: there is no room.
    """
    write_bytes(path, json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; the name never holds half of it. Raises as ``write``."""
    with (
        as_write_errors(path),
        tempfile.NamedTemporaryFile(
            dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file,
    ):
        try:
            file.write(data)
            file.flush()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def read(path: Path) -> dict[str, Any]:
    """A document that ``edgekit eval -o`` wrote.

    Raises:
        InputMissing: there is no such file.
        InputRefused: it is no such document.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputRefused(f"{path} is larger than a document of edgekit eval", hint=_HINT)
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputMissing(f"no such file: {path}", hint=_HINT) from None
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    except (ValueError, RecursionError):
        raise InputRefused(f"{path} is not JSON", hint=_HINT) from None
    if not isinstance(data, dict) or data.get("format") != document.FORMAT or not _sound(data):
        raise InputRefused(f"{path} is no document of edgekit eval", hint=_HINT)
    return data


def without_marks(data: Mapping[str, Any]) -> dict[str, Any]:
    """A document without every row's numbers: what is printed."""
    marks = ("marks", "fields")
    contestants = [
        {name: value for name, value in one.items() if name not in marks}
        for one in data["contestants"]
    ]
    return {**data, "contestants": contestants}


def standing(path: Path, beside: Contestant) -> tuple[str, Standing]:
    """The first contestant of an earlier document.

    Args:
        path: the document.
        beside: who is held against it.

    Returns:
        The digest of its data, and its standing.

    Raises:
        InputMissing, InputRefused: see ``read``.
        SpecError: it has no rows, or is of another task or kind of data.
    """
    data = read(path)
    first = data["contestants"][0]
    if first.get("task") != beside.task:
        raise SpecError(
            f"{path.name} is of {first.get('task')}, {beside.name} is for {beside.task}",
            hint="Compare models of one task.",
        )
    if not isinstance(first.get("marks"), list):
        raise SpecError(
            f"{path.name} has no rows to compare with: it was printed, or has more than "
            f"{document.MOST_KEPT}",
            hint=_HINT,
        )
    name = str(data["data"].get("kind", "")).replace(" ", "_")
    if name not in kinds.names():
        raise InputRefused(f"{path.name} is of an unknown kind of data", hint=_HINT)
    kind, context = kinds.kind(name), beside.encoder.context
    fields = kind.fields(context)
    if first.get("fields") != list(fields):
        raise SpecError(
            f"{path.name} was made with other labels than {beside.name} has",
            hint="Compare models with the same labels, in the same order.",
        )
    kept = _kept(first["marks"], len(fields), path)
    facts = {k: v for k, v in first.items() if k not in _FIGURES}
    facts["name"] = f"{facts['name']} (baseline)"
    return str(data["data"]["digest"]), Standing(facts, fields, kind.metrics(context), kept)


_FIGURES = frozenset(
    {"figures", "marks", "fields", "slices", "worst_slice", "robustness", "flips", "left_out"}
    | {"not_finite", "latency_ms", "seconds", "model_seconds", "workers"}
)


def _kept(rows: list[Any], width: int, path: Path) -> Kept:
    marks, status = array("d"), array("b")
    blank = [float("nan")] * width
    for row in rows:
        fine = isinstance(row, list) and len(row) == width
        if not fine and not (isinstance(row, int) and 0 < row < 3):
            raise InputRefused(f"{path.name} has a row that edgekit did not write", hint=_HINT)
        try:
            marks.extend(row if fine else blank)
        except TypeError:
            raise InputRefused(
                f"{path.name} has a row that edgekit did not write", hint=_HINT
            ) from None
        status.append(FINE if fine else row)
    count = len(rows)
    return Kept(
        np.array(marks, dtype=np.float64).reshape(count, width),
        np.array(status, dtype=np.int8),
        np.full(count, -1, dtype=np.int8),
        np.full(count, np.nan),
    )


def _sound(data: dict[str, Any]) -> bool:
    """Whether the parts that everything here reads are there, and of their kinds."""
    listed, about = data.get("contestants"), data.get("data")
    return (
        isinstance(about, dict)
        and isinstance(about.get("digest"), str)
        and isinstance(listed, list)
        and bool(listed)
        and all(isinstance(one, dict) and _sound_contestant(one) for one in listed)
    )


def _sound_contestant(one: dict[str, Any]) -> bool:
    figures = one.get("figures")
    return (
        isinstance(one.get("name"), str)
        and isinstance(one.get("runtime"), str)
        and isinstance(one.get("bytes"), int | None)
        and isinstance(figures, list)
        and all(
            isinstance(figure, dict)
            and isinstance(figure.get("metric"), str)
            and isinstance(figure.get("value"), int | float | None)
            for figure in figures
        )
    )
