"""Put every row to one contestant: generators of questions, driven by its engine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice, repeat
from queue import SimpleQueue
from typing import NoReturn, cast

import numpy as np

from edgekit.columns import Row
from edgekit.errors import TextRefused
from edgekit.runtime import Floats
from edgekit.runtime.encode import Encoder, Inputs
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.corpus import Corpus
from edgekit.scoring.engines import Answers, Engine
from edgekit.scoring.journal import FINE, LEFT_OUT, NOT_FINITE, Entry
from edgekit.scoring.kinds import Asked, Kind, Mark, Scoring
from edgekit.tasks import Context, task

Ask = Callable[[Row, Asked], Scoring]
TOO_LONG = "too long"
# Batches for each engine that wait for an earlier one at the most.
_WINDOW = 4


@dataclass
class _Row:
    """A row on its way: what it asks next, or how it ended."""

    number: int
    scoring: Scoring
    inputs: Inputs | None = None
    entry: Entry | None = None
    seconds: float = 0.0

    @property
    def wanted(self) -> Inputs:
        """What it asks now."""
        assert self.inputs is not None
        return self.inputs

    @property
    def ended(self) -> Entry:
        """How it ended."""
        assert self.entry is not None
        return self.entry

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
            if np.isfinite(mark.numbers).all():
                self._end(FINE, mark=mark)
            else:
                self._end(NOT_FINITE, reason="not finite")
        except TextRefused as refusal:
            long = refusal.details.get("limit") is not None
            self._end(LEFT_OUT, reason=TOO_LONG if long else refusal.message[:80])

    def _end(self, status: int, mark: Mark | None = None, reason: str = "") -> None:
        self.inputs = None
        self.entry = Entry(self.number, status, self.seconds * 1e3, mark, reason)


def asked(contestant: Contestant, corpus: Corpus | None = None) -> Asked:
    """A contestant as a scoring generator sees it."""
    return Asked(task(contestant.task), contestant.encoder, corpus)


def score(
    contestant: Contestant,
    engines: Sequence[Engine],
    ask: Ask,
    rows: Iterable[Row],
    corpus: Corpus | None = None,
) -> Iterator[Entry]:
    """Each row's outcome, in order.

    Args:
        contestant: who is asked.
        engines: what answers, opened from it; several are asked at the same time.
        ask: what is asked for a row: a kind's ``score``.
        rows: the data; no more of them is held than are asked at a time.
        corpus: what the rows search in, with this contestant's vectors.

    Raises:
        InputRefused: a row is malformed.
    """
    who = asked(contestant, corpus)
    begun = (_Row(row.number, ask(row, who)) for row in rows)
    return _one_engine(engines[0], begun) if len(engines) == 1 else _several(engines, begun)


def _one_engine(engine: Engine, rows: Iterator[_Row]) -> Iterator[Entry]:
    for batch in _batches(rows, engine.together):
        while batch.waiting:
            batch.take(engine.run(batch.wanted))
        yield from batch.ended


def _several(engines: Sequence[Engine], rows: Iterator[_Row]) -> Iterator[Entry]:
    """Texts are read and answers judged here, one at a time; only the engines work at once."""
    batches = _batches(rows, engines[0].together)
    with ThreadPoolExecutor(len(engines)) as pool:
        asking = _Asking(engines, pool)
        window: deque[_Batch] = deque()
        try:
            while True:
                # Given on before more are read: an empty window then means that there are no more.
                while window and not window[0].waiting:
                    yield from window.popleft().ended
                while asking.has_room and len(window) < _WINDOW * len(engines):
                    if (batch := next(batches, None)) is None:
                        break
                    window.append(batch)
                    asking.ask(batch)
                if not window:
                    return
                asking.take()
        finally:
            asking.stop()


class _Batch:
    """Rows that are read together and asked one after the other by the same engine."""

    def __init__(self, rows: list[_Row]) -> None:
        self._rows = rows
        for row in rows:
            row.begin()

    @property
    def waiting(self) -> list[_Row]:
        """Those that ask something."""
        return [row for row in self._rows if row.inputs is not None]

    @property
    def wanted(self) -> list[Inputs]:
        """What they ask now."""
        return [row.wanted for row in self.waiting]

    @property
    def ended(self) -> list[Entry]:
        """How each ended."""
        return [row.ended for row in self._rows]

    def take(self, answers: Answers) -> None:
        """Judge what came, or ask on."""
        outputs, seconds = answers
        times = repeat(math.nan, len(outputs)) if seconds is None else seconds
        for row, output, each in zip(self.waiting, outputs, times, strict=True):
            row.send(output, each)


def _batches(rows: Iterator[_Row], size: int) -> Iterator[_Batch]:
    while some := list(islice(rows, size)):
        yield _Batch(some)


class _Asking:
    """Batches that wait for an engine, or for its answers."""

    def __init__(self, engines: Sequence[Engine], pool: ThreadPoolExecutor) -> None:
        self._pool, self._count = pool, len(engines)
        self._idle: SimpleQueue[Engine] = SimpleQueue()
        for engine in engines:
            self._idle.put(engine)
        self._running: dict[Future[Answers], _Batch] = {}

    @property
    def has_room(self) -> bool:
        """Some wait for an engine, so that no engine waits."""
        return len(self._running) < 2 * self._count

    def ask(self, batch: _Batch) -> None:
        if batch.waiting:
            self._running[self._pool.submit(self._run, batch.wanted)] = batch

    def take(self) -> None:
        """Wait for answers, and ask what follows from them."""
        for done in wait(self._running, return_when=FIRST_COMPLETED).done:
            batch = self._running.pop(done)
            batch.take(done.result())
            self.ask(batch)

    def stop(self) -> None:
        for future in self._running:
            future.cancel()

    def _run(self, wanted: list[Inputs]) -> Answers:
        engine = self._idle.get()
        try:
            return engine.run(wanted)
        finally:
            self._idle.put(engine)


def unread(contestant: Contestant, corpus: Corpus | None = None) -> Asked:
    """A contestant that reads no text: what is wrong with a row shows before that."""
    encoder = cast(Encoder, _Unread(contestant.encoder.context))
    return Asked(task(contestant.task), encoder, corpus)


def check(who: Asked, kind: Kind, row: Row) -> None:
    """Look at one row as ``score`` will, without a token and without an answer.

    Args:
        who: given by ``unread``.
        kind: of the data.
        row: which.

    Raises:
        InputRefused: it is malformed.
    """
    scoring = kind.score(row, who)
    try:
        next(scoring)
    except (TextRefused, StopIteration):
        return  # it gets as far as the tokenizer; a text that is too long is counted when scored
    finally:
        scoring.close()


@dataclass(frozen=True)
class _Unread:
    """Stands for an encoder, and refuses every text."""

    context: Context

    def passes(self, text: str, pair: str | None = None, *, windows: bool = False) -> NoReturn:
        raise TextRefused("not read")
