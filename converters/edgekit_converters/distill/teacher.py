"""The teacher: frozen, asked in each step, or read from what it said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgekit_converters.distill.cache import Answers, Kept, find, keep
from edgekit_converters.distill.distiller import Teacher
from edgekit_converters.distill.models import fixed
from edgekit_converters.distill.outputs import Asks, Outputs

_BATCH = 32


class Live:
    """Asks the teacher itself. Its weights never change: they have no gradient."""

    def __init__(self, probe: Asks, collate: Any = None, rows: Any = None) -> None:
        """Bind a teacher.

        Args:
            probe: the teacher.
            collate: the teacher's own, where its tokenizer is another one than the student's.
            rows: every row of the job, for that collation.
        """
        fixed(probe.model)
        self.probe = probe
        self._collate = collate
        self._rows = rows

    def __call__(self, inputs: dict[str, Tensor], rows: Tensor, names: frozenset[str]) -> Outputs:
        """Outputs of the batch; of the same texts in its own tokens where it has its own."""
        if self._collate is not None:
            inputs = self._collate([self._rows[int(row)] for row in rows])
        with torch.no_grad():
            return self.probe(inputs, names)


class Remembered:
    """Reads what a teacher said; the teacher itself is not needed."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def __call__(self, inputs: dict[str, Tensor], rows: Tensor, names: frozenset[str]) -> Outputs:
        """Outputs of the rows, padded to the batch."""
        mask = inputs["attention_mask"]
        width = mask.shape[1]
        found = {name: self._kept.read(name, rows.tolist(), width) for name in sorted(names)}
        device = mask.device
        return Outputs(mask, {name: tensor.to(device) for name, tensor in found.items()})


def asked(
    probe: Asks,
    collate: Callable[[list[Any]], dict[str, Tensor]],
    rows: Any,
    names: frozenset[str],
    key: Sequence[Any],
    place: Path | None,
    limit: int,
    say: Callable[[str], None] = lambda line: None,
    *,
    own_tokens: bool = False,
) -> Teacher:
    """The teacher's answers to all rows, kept on the disk where they have room.

    Args:
        probe: the teacher.
        collate: rows to the teacher's inputs.
        rows: every row of the job, numbered.
        names: outputs that are wanted.
        key: all that the answers depend on, JSON-able.
        place: folder of the cache; None to ask the teacher in each step.
        limit: most bytes of the cache.
        say: told what is done.
        own_tokens: the teacher cuts texts into other tokens than the student.

    Raises:
        StorageFull, CannotWrite: the cache cannot be written; nothing is left behind.
    """
    if place is not None and (kept := find(place, [*key, sorted(names)])) is not None:
        say("the teacher's answers are read from the cache")
        return Remembered(kept)
    live = Live(probe, collate if own_tokens else None, rows if own_tokens else None)
    if place is None:
        return live

    def answers() -> Answers:
        for start in range(0, len(rows), _BATCH):
            numbers = range(start, min(start + _BATCH, len(rows)))
            batch = collate([rows[number] for number in numbers])
            with torch.no_grad():
                yield fixed_outputs(probe, batch, names)

    kept = keep(place, [*key, sorted(names)], answers, len(rows), limit, say)
    return live if kept is None else Remembered(kept)


def fixed_outputs(probe: Asks, batch: dict[str, Tensor], names: frozenset[str]) -> Outputs:
    """One batch of a frozen teacher."""
    fixed(probe.model)
    return probe(batch, names)
