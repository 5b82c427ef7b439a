"""What a teacher said, on the disk: memory-mapped, and named by all that it depends on.

An entry is a folder with ``index.json``, and for each output one file of float32 numbers, text
after text without padding. It appears whole or not at all. When an entry needs room, the ones that
were read longest ago go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.bundle.staging import Staging
from edgekit_converters.distill.outputs import Outputs

DEFAULT_LIMIT = 4 * 2**30
_VERSION = 1
_INDEX = "index.json"
_LENGTHS = "lengths.npy"
# How an output of one text of n tokens is shaped.
_TEXT, _TOKEN, _PAIR = "text", "token", "pair"

Answers = Iterator[Outputs]


def place() -> Path:
    """Where entries are kept unless the user says otherwise."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "edgekit" / "teachers"


def name_of(key: Sequence[Any]) -> str:
    """The name of an entry: a digest of all that it depends on."""
    text = json.dumps([_VERSION, *key], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Kept:
    """An entry, open for reading."""

    def __init__(self, folder: Path, index: dict[str, Any]) -> None:
        self.folder = folder
        self.rows = int(index["rows"])
        self._forms: dict[str, tuple[str, list[int]]] = {
            name: (str(form), list(sizes)) for name, (form, sizes) in index["outputs"].items()
        }
        lengths = np.load(folder / _LENGTHS, allow_pickle=False).astype(np.int64)
        self._lengths = lengths
        self._starts: dict[str, Any] = {}
        self._data: dict[str, Any] = {}
        for number, (name, (form, sizes)) in enumerate(sorted(self._forms.items())):
            each = np.prod(sizes, dtype=np.int64) * _count(form, lengths)
            self._starts[name] = np.concatenate([[0], np.cumsum(each)])
            self._data[name] = np.memmap(_file(folder, number), dtype=np.float32, mode="r")

    def whole(self) -> bool:
        """Whether the files hold what the index says."""
        sizes = (self._data[name].shape[0] == self._starts[name][-1] for name in self._data)
        return len(self._lengths) == self.rows and all(sizes)

    def read(self, name: str, rows: Sequence[int], width: int) -> Tensor:
        """One output of some rows, padded with zeros to ``width`` tokens."""
        form, sizes = self._forms[name]
        if form == _TEXT:
            made = torch.zeros(len(rows), *sizes)
        elif form == _TOKEN:
            made = torch.zeros(len(rows), width, *sizes)
        else:
            made = torch.zeros(len(rows), *sizes, width, width)
        for index, row in enumerate(rows):
            start, end = self._starts[name][row], self._starts[name][row + 1]
            values = torch.from_numpy(np.array(self._data[name][start:end]))
            n = int(self._lengths[row])
            if form == _TEXT:
                made[index] = values.view(*sizes)
            elif form == _TOKEN:
                made[index, :n] = values.view(n, *sizes)
            else:
                made[index, :, :n, :n] = values.view(*sizes, n, n)
        return made


def find(root: Path, key: Sequence[Any]) -> Kept | None:
    """The entry of a key; None where there is none, or a damaged one."""
    folder = root / name_of(key)
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        kept = Kept(folder, index)
        if not kept.whole():
            return None
        os.utime(folder / _INDEX)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept


def keep(
    root: Path,
    key: Sequence[Any],
    answers: Callable[[], Answers],
    rows: int,
    limit: int,
    say: Callable[[str], None],
) -> Kept | None:
    """Write an entry; None where it would not fit into the limit.

    Args:
        root: of the cache.
        key: see ``name_of``.
        answers: the teacher's outputs, batch by batch, in the order of the rows.
        rows: how many there will be.
        limit: most bytes of the whole cache.
        say: told what is done.

    Raises:
        StorageFull, CannotWrite: nothing is left behind.
    """
    given = answers()
    first = next(given)
    expected = _bytes(first) * -(-rows // len(first.mask))
    if expected > limit:
        say(
            f"the teacher is asked in each step: its answers would take about "
            f"{expected / 1e6:.0f} MB, the cache may have {limit / 1e6:.0f} MB"
        )
        return None
    root.mkdir(parents=True, exist_ok=True)
    _make_room(root, limit - expected)
    final = root / name_of(key)
    if final.exists():  # it was damaged, or `find` would have given it
        shutil.rmtree(final)
    with Staging(final, marker=_INDEX) as staging:
        _write(staging.folder, first, given, rows, say)
        staging.commit()
    return find(root, key)


def _write(
    folder: Path, first: Outputs, rest: Answers, rows: int, say: Callable[[str], None]
) -> None:
    names = sorted(first.named)
    forms = {name: _form(name, first[name]) for name in names}
    lengths: list[int] = []
    told = 0
    with ExitStack() as stack:
        files = [
            stack.enter_context(_file(folder, number).open("wb")) for number in range(len(names))
        ]
        for outputs in _chained(first, rest):
            counts = outputs.mask.sum(1).tolist()
            for name, file in zip(names, files, strict=True):
                values = outputs[name].detach().to(torch.float32).cpu()
                for index, n in enumerate(counts):
                    file.write(
                        _cut(values[index], forms[name][0], n).contiguous().numpy().tobytes()
                    )
            lengths += counts
            if (slot := len(lengths) * 5 // rows) > told:
                told = slot
                say(f"the teacher answered {len(lengths)} of {rows} texts")
    np.save(folder / _LENGTHS, np.array(lengths, dtype=np.int32), allow_pickle=False)
    facts = {"rows": len(lengths), "outputs": forms}
    (folder / _INDEX).write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def _chained(first: Outputs, rest: Answers) -> Iterable[Outputs]:
    yield first
    yield from rest


def _form(name: str, values: Tensor) -> tuple[str, list[int]]:
    if name.startswith("attention."):
        return _PAIR, [values.shape[1]]
    if values.dim() == 2:
        return _TEXT, [values.shape[1]]
    return _TOKEN, list(values.shape[2:])


def _cut(values: Tensor, form: str, n: int) -> Tensor:
    if form == _TEXT:
        return values
    return values[:n] if form == _TOKEN else values[:, :n, :n]


def _count(form: str, lengths: Any) -> Any:
    if form == _TEXT:
        return np.ones_like(lengths)
    return lengths if form == _TOKEN else lengths * lengths


def _bytes(outputs: Outputs) -> int:
    return sum(4 * tensor.numel() for tensor in outputs.named.values())


def _file(folder: Path, number: int) -> Path:
    return folder / f"output-{number}.f32"


def _make_room(root: Path, left: int) -> None:
    """Remove entries, those read longest ago first, until no more than ``left`` bytes are taken."""
    entries = []
    for folder in root.iterdir():
        try:
            size = sum(path.stat().st_size for path in folder.iterdir())
            entries.append(((folder / _INDEX).stat().st_mtime, size, folder))
        except OSError:
            continue  # another run's unfinished entry, or one that has just gone
    taken = sum(size for _, size, _ in entries)
    for _, size, folder in sorted(entries):
        if taken <= left:
            break
        shutil.rmtree(folder, ignore_errors=True)
        taken -= size
