"""Run suites of lm-eval on contestants, and give the board of each."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import CheckFailed
from edgekit.scoring import flips, journal
from edgekit.scoring.document import Board, Standing
from edgekit.scoring.journal import FINE, Entry, numbers
from edgekit.scoring.kinds import Mark
from edgekit.scoring.metrics import Metric, mean_of, perplexity, ratio_of
from edgekit.scoring.slices import Slices
from edgekit.stages import Progress, ProgressCallback
from edgekit_converters.quiet import quiet
from edgekit_converters.scoring import suites
from edgekit_converters.scoring.language_model import ArtifactModel, Told
from edgekit_converters.scoring.remembered import Remembered

# Of the metrics that are made from the likelihood of whole texts.
_ROLLING = {
    "word_perplexity": lambda nats: perplexity(nats),
    "byte_perplexity": lambda nats: perplexity(nats),
    "bits_per_byte": lambda nats: nats / math.log(2),
}
_SHARES = frozenset({"acc", "acc_norm", "exact_match"})


@dataclass(frozen=True)
class Player:
    """A contestant in suites.

    Attributes:
        facts: as in a standing.
        open: gives lm-eval's model, told of its progress; and closes it.
    """

    facts: dict[str, Any]
    open: Callable[[Told], tuple[Any, Callable[[], None]]]


@dataclass(frozen=True)
class Options:
    """How suites are run.

    Attributes:
        limit: questions of each suite; all when None.
        shots: examples in the prompt; each suite's own number when None.
        flips: examples of changed answers.
        seed: of resampling.
    """

    limit: int | None = None
    shots: int | None = None
    flips: int = 0
    seed: int = 0


@dataclass
class _Answers:
    """One contestant's answers to one suite."""

    names: list[str]
    entries: list[Entry] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)


def run(
    players: Sequence[Player],
    names: tuple[str, ...],
    data_dir: Path | None,
    options: Options,
    progress: ProgressCallback | None = None,
    work: Path | None = None,
) -> dict[str, Board]:
    """Every suite's board.

    Args:
        players: the first is what the others are held against.
        names: of suites, as lm-eval has them.
        data_dir: copies of their data; from the hub when None.
        options: how.
        progress: told how far it is.
        work: folder for answers as they come; another run with the same folder goes on from there.

    Raises:
        SpecError, InputMissing, InputRefused: see ``suites.tasks``.
        CannotWrite, StorageFull: answers cannot be kept.
        CheckFailed: logits are not finite numbers.
    """
    # Bars are the terminal's, which the caller keeps.
    with quiet("lm_eval"), journal.folder(work) as folder:
        tasks = suites.tasks(names, data_dir, options.shots)
        found = [
            _played(
                player,
                tasks,
                options,
                _Clock(str(player.facts["name"]), at, len(players), progress),
                folder / f"{at}.requests.jsonl",
            )
            for at, player in enumerate(players)
        ]
    if progress is not None:
        progress(Progress("done", len(players), len(players), found[-1][2], None))
    boards = {}
    for name in names:
        answers = [one[0][name] for one in found]
        standings = [
            _standing(player, answer, seconds)
            for player, answer, (_, seconds, _) in zip(players, answers, found, strict=True)
        ]
        boards[name] = _board(name, answers, standings, options)
    return boards


def _played(
    player: Player, tasks: Mapping[str, Any], options: Options, clock: _Clock, file: Path
) -> tuple[dict[str, _Answers], tuple[float, float] | None, float]:
    """One contestant's answers by suite, its seconds (whole, model alone), and seconds so far."""
    from lm_eval import simple_evaluate

    name = str(player.facts["name"])
    model, close = player.open(lambda done, total: None)

    def check() -> None:
        if isinstance(model, ArtifactModel):
            refuse_not_finite(model.not_finite, name)

    identity = f"{player.facts['identity']} {player.facts['tokenizer']}"
    remembered = Remembered(file, identity, clock.told, check)
    try:
        remembered.attach(model)
        found = simple_evaluate(
            model=model,
            tasks=list(tasks.values()),
            task_manager=suites.manager(),
            num_fewshot=options.shots,
            limit=options.limit,
            bootstrap_iters=0,
            log_samples=True,
            gen_kwargs=_answer_room(tasks, model),
            random_seed=options.seed,
            numpy_random_seed=options.seed,
            torch_random_seed=options.seed,
            fewshot_random_seed=options.seed,
        )
    finally:
        remembered.close()
        close()
    seconds: tuple[float, float] | None = None
    if isinstance(model, ArtifactModel) and not remembered.resumed:
        seconds = model.seconds, model.model_seconds
    assert found is not None  # only other ranks of a distributed run get None
    answers = {name: _answers(found["samples"][name]) for name in tasks}
    return answers, seconds, clock.elapsed


def refuse_not_finite(passes: int, name: str) -> None:
    """Scores of logits that are no numbers would be no scores.

    Raises:
        CheckFailed: naming how many there were.
    """
    if passes:
        raise CheckFailed(
            f"{name} gave logits that are not finite numbers {passes} times",
            hint="edgekit verify finds the hop that breaks.",
            passes=passes,
        )


def _answer_room(tasks: Mapping[str, Any], model: Any) -> dict[str, int] | None:
    """Generated answers leave half of a small context to the question, for every contestant."""
    if not any(task.OUTPUT_TYPE == "generate_until" for task in tasks.values()):
        return None
    return {"max_gen_toks": min(256, int(model.max_length) // 2)}


def _answers(samples: Sequence[Mapping[str, Any]]) -> _Answers:
    """Numbers and words of each question; several readings of one answer are side by side."""
    filters = list(dict.fromkeys(sample["filter"] for sample in samples))
    by_question: dict[int, dict[str, Mapping[str, Any]]] = {}
    for sample in samples:
        by_question.setdefault(sample["doc_id"], {})[sample["filter"]] = sample
    names: list[str] = []
    for reading in filters:
        first = next(s for s in samples if s["filter"] == reading)
        for metric in first["metrics"]:
            label = metric if len(filters) == 1 else f"{metric} ({reading})"
            names += [label, f"{label} weight"] if metric in _ROLLING else [label]
    found = _Answers(names)
    for number, (_, readings) in enumerate(sorted(by_question.items()), 1):
        values: list[float] = []
        for reading in filters:
            for metric in readings[reading]["metrics"]:
                value = readings[reading][metric]
                values += [float(v) for v in value] if metric in _ROLLING else [float(value)]
        sample = readings[filters[0]]
        main = values[0] if names[0].partition(" ")[0] in _SHARES else None
        right = None if main is None else main == 1.0
        shown = _picked(sample)
        mark = Mark(tuple(values), shown, str(sample["target"])[:80], right)
        found.entries.append(Entry(number, FINE, math.nan, mark))
        found.texts[number] = _question(sample)
    return found


def _picked(sample: Mapping[str, Any]) -> str:
    """What was answered: the likeliest choice's place, or the text."""
    replies = sample["filtered_resps"]
    if all(isinstance(reply, tuple | list) and len(reply) == 2 for reply in replies):
        return str(int(np.argmax([float(reply[0]) for reply in replies])))
    return str(replies[0])[:80]


def _question(sample: Mapping[str, Any]) -> str:
    arguments = sample["arguments"]
    first = arguments["gen_args_0"] if isinstance(arguments, Mapping) else arguments[0]
    words = first["arg_0"] if isinstance(first, Mapping) else first[0]
    return str(words) or str(sample["doc"])[:200]


def _metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    found = []
    for at, name in enumerate(names):
        base = name.partition(" ")[0]
        if name.endswith(" weight"):
            continue
        if base in _ROLLING:
            above, below = [(-1.0, at)], [(1.0, at + 1)]
            found.append(ratio_of(name, above, below, then=_ROLLING[base], better=-1))
        else:
            found.append(mean_of(name, at, share=base in _SHARES))
    return tuple(found)


def _standing(player: Player, answers: _Answers, seconds: tuple[float, float] | None) -> Standing:
    return Standing(
        facts=player.facts,
        fields=tuple(answers.names),
        metrics=_metrics(answers.names),
        kept=numbers(answers.entries, len(answers.names), len(answers.entries)),
        seconds=None if seconds is None else seconds[0],
        model_seconds=None if seconds is None else seconds[1],
    )


def _board(
    name: str, answers: Sequence[_Answers], standings: list[Standing], options: Options
) -> Board:
    texts = answers[0].texts
    parts = Slices()
    digest = hashlib.sha256(json.dumps(texts).encode())
    for text in texts.values():
        parts.add_text(text)
    board = Board(name, digest.hexdigest(), name, parts, standings, options.seed)
    if len(standings) > 1:
        said = partial(_some, texts)
        flips.note(board, [partial(iter, one.entries) for one in answers], said, options.flips)
    return board


def _some(texts: dict[int, str], wanted: Sequence[int]) -> dict[int, str]:
    # The end of a prompt is the question; its beginning is often the same in all.
    return {number: texts[number][-160:] for number in wanted}


class _Clock:
    """Tells of one contestant's requests."""

    def __init__(self, name: str, index: int, total: int, callback: ProgressCallback | None):
        self._name, self._index, self._total, self._callback = name, index, total, callback
        self._began = self._last = time.monotonic()
        # When, and after how many requests, the clock of a kind of them began.
        self._first: tuple[float, int] | None = None
        self._say(None, "")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def told(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None or done < self._first[1]:
            self._first = now, done
        began, before = self._first
        if now - self._last >= 5.0 and done > before:
            self._last = now
            each = (now - began) / (done - before)
            self._say((total - done) * each, f"{done} of {total} requests")

    def _say(self, remaining: float | None, note: str) -> None:
        if self._callback is not None:
            elapsed = self.elapsed
            self._callback(Progress(self._name, self._index, self._total, elapsed, remaining, note))
