"""Put every row to one contestant: generators of questions, driven by its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgekit.columns import Row
from edgekit.errors import TextRefused
from edgekit.runtime import Floats
from edgekit.runtime.encode import Inputs
from edgekit.scoring.contestants import Contestant, Engine, run_timed
from edgekit.scoring.journal import FINE, LEFT_OUT, NOT_FINITE, Entry
from edgekit.scoring.kinds import Asked, Kind, Mark, Scoring
from edgekit.tasks import task

TOO_LONG = "too long"


@dataclass
class _Row:
    """A row on its way: what it asks next, or how it ended."""

    number: int
    scoring: Scoring
    inputs: Inputs | None = None
    entry: Entry | None = None
    seconds: float = 0.0

    def begin(self) -> None:
        self._advance(lambda: next(self.scoring))

    def send(self, output: Floats, seconds: float) -> None:
        self.seconds += seconds
        if not np.isfinite(output).all():
            self.scoring.close()
            self._end(NOT_FINITE, reason="not finite")
            return
        self._advance(lambda: self.scoring.send(output))

    def _advance(self, step: Callable[[], Inputs]) -> None:
        try:
            self.inputs = step()
        except StopIteration as done:
            mark: Mark = done.value
            # A figure of finite outputs that is none itself would poison every sum.
            finite = all(np.isfinite(number) for number in mark.numbers)
            if finite:
                self._end(FINE, mark=mark)
            else:
                self._end(NOT_FINITE, reason="not finite")
        except TextRefused as refusal:
            long = refusal.details.get("limit") is not None
            self._end(LEFT_OUT, reason=TOO_LONG if long else refusal.message[:80])

    def _end(self, status: int, mark: Mark | None = None, reason: str = "") -> None:
        self.inputs = None
        self.entry = Entry(self.number, status, self.seconds * 1e3, mark, reason)


def asked(contestant: Contestant) -> Asked:
    """A contestant as a scoring generator sees it."""
    return Asked(task(contestant.task), contestant.encoder)


def score(
    contestant: Contestant, engine: Engine, kind: Kind, rows: Iterable[Row]
) -> Iterator[Entry]:
    """Each row's outcome, in order.

    Args:
        contestant: who is asked.
        engine: what answers, opened from it.
        kind: of the data.
        rows: the data; no more of them is held than go in one call.

    Raises:
        InputRefused: a row is malformed.
    """
    who = asked(contestant)
    stream = iter(rows)
    while batch := [_Row(r.number, kind.score(r, who)) for r in islice(stream, engine.together)]:
        for row in batch:
            row.begin()
        while waiting := [row for row in batch if row.inputs is not None]:
            wanted = [row.inputs for row in waiting if row.inputs is not None]
            outputs, seconds = run_timed(engine, wanted)
            each = seconds / len(waiting) if engine.timed else float("nan")
            for row, output in zip(waiting, outputs, strict=True):
                row.send(output, each)
        for row in batch:
            assert row.entry is not None
            yield row.entry


def check(contestant: Contestant, kind: Kind, row: Row) -> None:
    """Read one row as ``score`` will, without an answer.

    Raises:
        InputRefused: it is malformed.
    """
    scoring = kind.score(row, asked(contestant))
    try:
        next(scoring)
    except (TextRefused, StopIteration):
        return  # counted when it is scored
    finally:
        scoring.close()
