"""Suites of mteb on models that embed texts: its names and its data, scored row by row here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from edgekit import columns
from edgekit.errors import InputMissing, SpecError, TextRefused, Unavailable, Unsupported
from edgekit.runtime.encode import Encoded, Encoder
from edgekit.scoring import journal
from edgekit.scoring.contestants import Contestant
from edgekit.scoring.document import Board
from edgekit.scoring.evaluation import Options, evaluate
from edgekit.stages import Progress, ProgressCallback
from edgekit.tasks import Context
from edgekit_converters.quiet import quiet
from edgekit_converters.scoring import embedding_data
from edgekit_converters.scoring.embedding_data import Part

TASK = "sentence-similarity"
# Suggested where a name is wrong; mteb knows hundreds more, and any of these types is taken.
COMMON = ("STSBenchmark", "SICK-R", "STS12", "NFCorpus", "SciFact", "ArguAna")
# mteb's type of a suite -> its main score, which is our main figure of such rows.
_TYPES = {"STS": "cosine_spearman", "Retrieval": "ndcg_at_10"}


class _Cut:
    """An encoder that cuts a text at the model's limit, as every model in mteb does."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @property
    def context(self) -> Context:
        return self._encoder.context

    def passes(self, text: str, pair: str | None = None, *, windows: bool = False) -> list[Encoded]:
        try:
            return self._encoder.passes(text, pair, windows=windows)
        except TextRefused as refusal:
            if pair is not None or not _over(refusal):
                raise
        return [Encoded(self._encoder.encode(text, truncate=True), (), (), ())]

    def cuts(self, text: str) -> bool:
        """Whether a text is over the limit."""
        try:
            self._encoder.encode(text)
        except TextRefused as refusal:
            return _over(refusal)
        return False


def _over(refusal: TextRefused) -> bool:
    """Whether a text was refused for its length."""
    return refusal.details.get("limit") is not None


def run(
    contestants: Sequence[Contestant],
    names: tuple[str, ...],
    data_dir: Path | None,
    options: Options,
    progress: ProgressCallback | None = None,
    work: Path | None = None,
) -> dict[str, Board]:
    """Every suite's board, by its name; those of several languages or splits have more.

    Args:
        contestants: that embed texts; the first is what the others are held against.
        names: of suites, as mteb has them (Muennighoff et al. 2023).
        data_dir: copies of their data, each in a folder called as on the hub; from the hub when
            None.
        options: how.
        progress: told how far it is.
        work: folder for answers as they come; another run with the same folder goes on from there.

    Raises:
        SpecError: mteb has no suite of a name.
        Unsupported: a contestant or a suite of another type.
        Unavailable: mteb is not installed.
        InputMissing, InputRefused: the data is missing or is not what the suite reads.
        CannotWrite, StorageFull: answers cannot be kept.
    """
    for one in contestants:
        if one.task != TASK:
            raise Unsupported(
                f"{one.name} is for {one.task}: mteb's suites are for {TASK}",
                hint="Score it on labelled rows: edgekit eval BUNDLE --data FILE",
            )
    cutting = [replace(one, encoder=cast(Encoder, _Cut(one.encoder))) for one in contestants]
    with quiet("mteb"), journal.folder(work) as folder:
        tasks = [_task(name) for name in names]
        data = folder / "data"
        data.mkdir(exist_ok=True)
        # All data is looked at before the first text is asked.
        found = [part for task in tasks for part in _parts(task, data_dir, data)]
        boards = {}
        for at, part in enumerate(found):
            place = folder / part.data.stem
            place.mkdir(exist_ok=True)
            told = None if progress is None else partial(_told, progress, part, at, len(found))
            board = evaluate(
                cutting, part.data, options, corpus=part.corpus, work=place, progress=told
            )
            board.file = part.label
            board.remarks += [*part.remarks, *_cuts(contestants, part, options.limit)]
            boards[part.label] = board
    return boards


def _task(name: str) -> Any:
    """A suite of mteb.

    Raises:
        SpecError, Unsupported, Unavailable: see ``run``.
    """
    try:
        mteb: Any = import_module("mteb")
    except ModuleNotFoundError as error:
        if error.name != "mteb":
            raise
        raise Unavailable(
            f"{name} is asked of models that embed texts, whose suites are those of mteb, and mteb "
            "is not installed",
            hint="Install it: pip install 'edgekit[mteb]'. Or score pairs or searches of your own "
            "with --data.",
            package="mteb",
        ) from error
    try:
        task: Any = mteb.get_task(name)
    except KeyError:
        known = [one.metadata.name for one in mteb.get_tasks(task_types=list(_TYPES))]
        near = get_close_matches(name, known, n=1)
        raise SpecError(
            f"no suite of mteb is called {name!r}",
            hint=(f"Did you mean {near[0]!r}? " if near else "")
            + f"Often used: {', '.join(COMMON)}.",
        ) from None
    kind, main = task.metadata.type, task.metadata.main_score
    if getattr(task, "is_aggregate", False):
        inside = ",".join(one.metadata.name for one in task.tasks)
        raise Unsupported(f"{name} is several suites of mteb", hint=f"Name them: {inside[:300]}")
    if list(task.metadata.modalities) != ["text"] or _TYPES.get(kind) != main:
        raise Unsupported(
            f"{name} is a suite of mteb for {kind} scored by {main}, which is not made here",
            hint=f"Made here are {' and '.join(f'{k} by {m}' for k, m in _TYPES.items())}: "
            f"{', '.join(COMMON)} and more.",
        )
    if getattr(task, "skip_first_result", False):
        raise Unsupported(
            f"{name} leaves each query's best text out, which is not done here",
            hint=f"Often used: {', '.join(COMMON)}.",
        )
    return task


def _parts(task: Any, data_dir: Path | None, folder: Path) -> list[Part]:
    if data_dir is None and os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise InputMissing(
            f"the data of {task.metadata.name} is on the hub ({task.metadata.dataset['path']}), "
            "and HF_HUB_OFFLINE is set",
            hint="Pass --data-dir DIR with a copy: " + embedding_data.wanted(task, Path("DIR")),
        )
    return embedding_data.parts(task, data_dir, folder)


def _cuts(contestants: Sequence[Contestant], part: Part, limit: int | None) -> Iterator[str]:
    """How many texts each contestant read to its limit only."""
    counts: dict[tuple[str, object], int] = {}
    for one in contestants:
        longest = one.details.get("max_length")
        reader = one.tokenizer, longest
        if reader not in counts:
            cut = _Cut(one.encoder)
            counts[reader] = sum(cut.cuts(text) for text in _texts(part, limit))
        if counts[reader]:
            yield (
                f"{one.name}: texts cut at its limit of {longest} tokens, as mteb cuts them: "
                f"{counts[reader]}"
            )


def _texts(part: Part, limit: int | None) -> Iterator[str]:
    for row in columns.read(part.data, limit):
        yield from (row.text(name) for name in ("text_a", "text_b", "query") if name in row.values)
    if part.corpus is not None:
        yield from (row.text("text") for row in columns.read(part.corpus))


def _told(callback: ProgressCallback, part: Part, at: int, count: int, told: Progress) -> None:
    """One part's progress among that of all."""
    if told.stage == "done" and at + 1 < count:
        return
    stage = told.stage if told.stage == "done" or count == 1 else f"{part.label}: {told.stage}"
    done, total = at * told.total + told.index, count * told.total
    callback(replace(told, stage=stage, index=done, total=total))
