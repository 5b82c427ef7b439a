"""One evaluation: a data file, contestants side by side, a document with everything found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from edgekit import columns
from edgekit.columns import Row
from edgekit.errors import InputRefused, SpecError
from edgekit.scoring import document, flips, journal, kinds, perturb, workers
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.corpus import Corpus
from edgekit.scoring.corpus import read as read_corpus
from edgekit.scoring.document import Board, Standing
from edgekit.scoring.embedding import embedded
from edgekit.scoring.engines import Engine
from edgekit.scoring.session import check, score, unread
from edgekit.scoring.slices import Slices, column_names
from edgekit.stages import Progress, ProgressCallback

_FORMAT = 1
_TOLD_EVERY = 5.0
_VECTORS = ".vectors"


@dataclass(frozen=True)
class Options:
    """How a file is scored.

    Attributes:
        limit: rows to take; all when None.
        slices: columns to part the rows by, besides length and script.
        robustness: rows that are asked again with each kind of harm; 0 for none.
        flips: examples to give of answers that changed.
        seed: of resampling and harm.
        workers: that ask at the same time; as many as are worth it when None.
    """

    limit: int | None = None
    slices: tuple[str, ...] = ()
    robustness: int = 0
    flips: int = 0
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True)
class _Data:
    """A data file that was read once to its end."""

    path: Path
    kind: kinds.Kind
    rows: int
    digest: str
    slices: Slices
    corpus: Corpus | None = None


def evaluate(
    contestants: Sequence[Contestant],
    path: Path,
    options: Options,
    *,
    corpus: Path | None = None,
    work: Path | None = None,
    baseline: tuple[str, Standing] | None = None,
    progress: ProgressCallback | None = None,
) -> Board:
    """Score contestants on one file.

    Args:
        contestants: of one task; the first is what the others are held against.
        path: a ``.jsonl``, ``.csv`` or ``.tsv`` file.
        options: how.
        corpus: a file of texts that the rows of ``path`` search in.
        work: folder for answers as they come; another run with the same folder goes on from there.
            A temporary one when None.
        baseline: the digest of an earlier run's data, and its standing: it becomes the first.
        progress: told of every contestant, and every few seconds how far it is.

    Raises:
        SpecError: contestants that cannot be compared.
        InputRefused: the data is malformed, or nothing of it can be asked.
        CannotWrite, StorageFull: answers cannot be kept.
    """
    _refuse_mixed(contestants)
    clock = _Clock(progress, len(contestants) + bool(options.robustness) + 1)
    data = _read(contestants, path, options, clock, corpus)
    if baseline is not None and baseline[0] != data.digest:
        raise SpecError(
            "the baseline was made with other data",
            hint=f"Score it again on {path.name} with the same --limit.",
        )
    with journal.folder(work) as folder:
        standings = [] if baseline is None else [baseline[1]]
        files = []
        for at, contestant in enumerate(contestants):
            file = folder / f"{at}.jsonl"
            clock.stage(contestant.name, at)
            standings.append(_stand(contestant, data, file, options, clock))
            files.append(file)
        board = Board(
            path.name,
            data.digest,
            kinds.kind_name(data.kind),
            data.slices,
            standings,
            options.seed,
        )
        if not board.scored.any():
            raise InputRefused(
                f"no row of {path.name} could be scored: {board.why_not()}",
                hint="Shorten the texts, or export with a larger --max-length.",
            )
        if data.corpus is not None:
            board.remarks += _unread(contestants, data.corpus, files)
        if baseline is None and len(files) > 1:
            answers = [partial(journal.entries, file) for file in files]
            flips.note(board, answers, partial(_texts, data, options.limit), options.flips)
        if options.robustness:
            clock.stage("robustness", len(contestants))
            _robustness(board, contestants, data, options, clock, files)
    clock.stage("intervals", len(contestants) + bool(options.robustness))
    for standing in board.standings:
        board.estimates(standing)
    clock.finish()
    return board


def _refuse_mixed(contestants: Sequence[Contestant]) -> None:
    tasks = {one.task: one.name for one in contestants}
    if len(tasks) > 1:
        said = "; ".join(f"{name} is for {task}" for task, name in tasks.items())
        raise SpecError(f"models of different tasks: {said}", hint="Compare models of one task.")
    labels = [set(one.encoder.context.labels) for one in contestants]
    for one, found in zip(contestants, labels, strict=True):
        if found != labels[0]:
            other = ", ".join(sorted(found ^ labels[0])[:8])
            raise SpecError(
                f"{one.name} and {contestants[0].name} have different labels: {other}",
                hint="Compare models with the same labels.",
            )


def _read(
    contestants: Sequence[Contestant],
    path: Path,
    options: Options,
    clock: _Clock,
    corpus: Path | None,
) -> _Data:
    """Read everything once: a malformed last row is told now, not after an hour."""
    first, asked = columns.first(path), contestants[0]
    kind = kinds.chosen(asked.task, asked.problem, first)
    clock.stage("reading", 0)
    searched = None
    if corpus is not None:
        if not getattr(kind, "SEARCHES", False):
            raise SpecError(
                f"{path.name} has {kinds.kind_name(kind)} rows, which search in no corpus",
                hint="Leave --corpus out, or give rows with the columns query and relevant.",
            )
        searched = read_corpus(corpus)
    slices, count = Slices(column_names(first, options.slices)), 0
    who = unread(asked, searched)
    for row in columns.read(path, options.limit):
        check(who, kind, row)
        slices.add(row, kind.texts(row))
        count += 1
    digest = columns.fingerprint(path, options.limit)
    if searched is not None:
        digest = journal.key_of(digest, searched.digest)
    return _Data(path, kind, count, digest, slices, searched)


def _stand(
    contestant: Contestant, data: _Data, file: Path, options: Options, clock: _Clock
) -> Standing:
    """All of one contestant's answers, those of an earlier run included."""
    about = (contestant.identity, data.digest, kinds.kind_name(data.kind))
    kept = journal.Journal(file, journal.key_of(_FORMAT, *about))
    resumed, seconds, at_once = kept.done, 0.0, 1
    try:
        if kept.done < data.rows:
            rows = islice(columns.read(data.path, options.limit), kept.done, None)
            left = data.rows - kept.done + (data.corpus.count if data.corpus else 0)
            wanted = workers.count(left, contestant.bytes, options.workers)
            with opened(contestant, wanted) as engines:
                searched = _searched(contestant, engines, data, file, clock)
                began, at_once = clock.restart(), len(engines)
                for entry in score(contestant, engines, data.kind.score, rows, searched):
                    kept.add(entry)
                    clock.rows(kept.done - resumed, kept.done, data.rows)
                seconds = time.monotonic() - began
    finally:
        kept.close()
    context = contestant.encoder.context
    fields = data.kind.fields(context)
    found = journal.numbers(journal.entries(file), len(fields), data.rows)
    return document.standing(
        contestant,
        fields,
        data.kind.metrics(context),
        found,
        None if resumed else seconds,
        at_once,
    )


def _searched(
    contestant: Contestant, engines: Sequence[Engine], data: _Data, file: Path, clock: _Clock
) -> Corpus | None:
    """What the rows search in, with this contestant's vectors."""
    if data.corpus is None:
        return None
    count = data.corpus.count
    clock.restart()

    def told(now: int, done: int) -> None:
        clock.rows(now, done, count, "texts of the corpus")

    return embedded(contestant, engines, data.corpus, file.with_suffix(_VECTORS), told)


def _unread(
    contestants: Sequence[Contestant], corpus: Corpus, files: Sequence[Path]
) -> Iterator[str]:
    """What a reader must know of the corpus."""
    yield f"searched in all {corpus.count} texts of {corpus.path.name}"
    for contestant, file in zip(contestants, files, strict=True):
        if lost := replace(corpus, vectors=file.with_suffix(_VECTORS)).unread():
            yield f"{contestant.name}: {lost} of them are too long for it, and never found"


@contextmanager
def opened(contestant: Contestant, wanted: int = 1) -> Iterator[list[Engine]]:
    """A contestant's engines, released at the end: ``wanted`` where it can have several."""
    engines: list[Engine] = []
    try:
        if contestant.open_worker is None or wanted == 1:
            engines.append(contestant.open())
        else:
            while len(engines) < wanted:
                engines.append(contestant.open_worker())
        yield engines
    finally:
        for engine in engines:
            engine.close()


def _texts(data: _Data, limit: int | None, numbers: Sequence[int]) -> dict[int, str]:
    """What some rows say."""
    wanted, last = set(numbers), max(numbers)
    found = {}
    for row in columns.read(data.path, limit):
        if row.number in wanted:
            found[row.number] = data.kind.texts(row)
        if row.number >= last:
            break
    return found


def _robustness(
    board: Board,
    contestants: Sequence[Contestant],
    data: _Data,
    options: Options,
    clock: _Clock,
    files: Sequence[Path],
) -> None:
    """Ask the first rows again, harmed; they are few enough to hold."""
    if not data.kind.PERTURBED:
        board.remarks.append(
            f"robustness: {kinds.kind_name(data.kind)} have no text that can change by itself"
        )
        return
    limit = min(options.robustness, data.rows)
    standings = board.standings[-len(contestants) :]
    for contestant, standing, file in zip(contestants, standings, files, strict=True):
        harmed = limit * len(perturb.HARMS)
        wanted = workers.count(harmed, contestant.bytes, options.workers)
        with opened(contestant, wanted) as engines:
            searched = _searched(contestant, engines, data, file, clock)
            for harm in perturb.HARMS:
                rows: Iterator[Row] = (
                    perturb.perturbed(row, data.kind.PERTURBED, harm, options.seed)
                    for row in columns.read(data.path, limit)
                )
                found = list(score(contestant, engines, data.kind.score, rows, searched))
                standing.robustness.append(board.harmed(standing, harm, found))
                clock.note(f"{contestant.name}: {harm}")


class _Clock:
    """Tells a callback how far the work is and how long it will take."""

    def __init__(self, callback: ProgressCallback | None, total: int) -> None:
        self._tell: Callable[[Progress], None] = callback or (lambda progress: None)
        self._total = total + 1
        self._began = self._stage_began = self._told = time.monotonic()
        self._name, self._index = "", 0

    def stage(self, name: str, index: int) -> None:
        self._name, self._index = name, index + (name != "reading")
        self._stage_began = self._told = time.monotonic()
        self._send(None, "")

    def restart(self) -> float:
        """Loading says nothing of the rows to come."""
        self._stage_began = self._told = time.monotonic()
        return self._stage_began

    def rows(self, now: int, done: int, total: int, what: str = "rows") -> None:
        moment = time.monotonic()
        if moment - self._told < _TOLD_EVERY:
            return
        self._told = moment
        each = (moment - self._stage_began) / now
        later = max(self._total - self._index - 1, 0) * total * each
        self._send((total - done) * each + later, f"{done} of {total} {what}")

    def note(self, text: str) -> None:
        self._send(None, text)

    def finish(self) -> None:
        self._name = "done"
        self._send(None, "")

    def _send(self, remaining: float | None, note: str) -> None:
        elapsed = time.monotonic() - self._began
        self._tell(Progress(self._name, self._index, self._total, elapsed, remaining, note))
