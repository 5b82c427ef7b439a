"""Data files for models that write: how surprised they are by texts, and what they answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit import columns
from edgekit.columns import Row
from edgekit.errors import InputRefused, SpecError
from edgekit.scoring import flips, journal
from edgekit.scoring.document import Board, Standing
from edgekit.scoring.journal import FINE, LEFT_OUT, Entry
from edgekit.scoring.kinds import Mark
from edgekit.scoring.metrics import Metric, perplexity, ratio_of
from edgekit.scoring.slices import Slices, column_names
from edgekit.stages import Progress, ProgressCallback
from edgekit_converters.quiet import quiet
from edgekit_converters.scoring.harness import Options, Player, refuse_not_finite
from edgekit_converters.scoring.language_model import ArtifactModel
from edgekit_converters.scoring.players import TASK
from edgekit_converters.scoring.replies import FIELDS, METRICS, judged
from edgekit_converters.scoring.writers import Writer

_FORMAT = "passages 1"
# So many rows a kill can cost.
_TOGETHER = 8
_CHATS, _ANSWERS, _TEXTS = ("messages",), ("prompt", "completion"), ("text",)
_PAIRS = ("source", "target")
_MOST_TOKENS = 128


@dataclass(frozen=True)
class _Reading:
    """A kind of file: its columns, its marks, and how a batch of rows is asked."""

    name: str
    needed: tuple[str, ...]
    fields: tuple[str, ...]
    metrics: tuple[Metric, ...]
    ask: Callable[[Any, Sequence[Row]], list[Entry]]
    said: Callable[[Row], str]


@dataclass
class _Told:
    """Texts for slices and examples, while they are few."""

    parts: Slices
    count: int = 0
    digest: str = ""
    rows: list[int] = field(default_factory=list)


def run(
    players: Sequence[Player],
    path: Path,
    options: Options,
    by: tuple[str, ...] = (),
    progress: ProgressCallback | None = None,
    work: Path | None = None,
) -> Board:
    """Score decoders, or encoder-decoders, on a file.

    Args:
        players: the first is what the others are held against.
        path: ``.jsonl``, ``.csv`` or ``.tsv``; of encoder-decoders with ``source`` and ``target``,
            of decoders with ``text`` (perplexity), with ``prompt`` and
            ``completion`` (asked as a user's message where the model knows conversations), or
            with ``messages`` whose last is what the assistant should say.
        options: how; its ``shots`` are not used.
        by: columns to part the rows by.
        progress: told of every contestant and how far it is.
        work: folder for answers as they come; another run with the same folder goes on from there.

    Raises:
        CannotWrite, StorageFull: answers cannot be kept.
        InputRefused: the data is malformed.
        SpecError: decoders and encoder-decoders together.
        CheckFailed: logits are not finite numbers.
    """
    writes = [player.facts["task"] != TASK for player in players]
    if any(writes) and not all(writes):
        raise SpecError(
            "models that continue texts and models that answer them are not asked the same",
            hint="Score them in two runs.",
        )
    reading = _of_writers(columns.first(path)) if writes[0] else _chosen(columns.first(path))
    told = _read(path, reading, options.limit, by)
    with journal.folder(work) as folder:
        files = [folder / f"{at}.jsonl" for at in range(len(players))]
        standings = []
        for at, (player, file) in enumerate(zip(players, files, strict=True)):
            say = partial(_say, progress, str(player.facts["name"]), at, len(players), told.count)
            standings.append(_stand(player, path, reading, told, file, options.limit, say))
        board = Board(path.name, told.digest, reading.name, told.parts, standings, options.seed)
        if not board.scored.any():
            raise InputRefused(
                f"no row of {path.name} could be scored: {board.why_not()}",
                hint="Shorten the texts.",
            )
        if len(players) > 1:
            said = partial(_texts, path, reading, options.limit)
            flips.note(
                board, [partial(journal.entries, file) for file in files], said, options.flips
            )
    if progress is not None:
        progress(Progress("done", len(players), len(players), 0.0, None))
    return board


def _of_writers(row: Row) -> _Reading:
    if set(_PAIRS) <= set(row.values):
        return _WRITTEN
    raise InputRefused(
        f"{row.file} has not both columns source and target; it has {', '.join(row.values)}",
        hint="source is the text that the model reads, target the answer that is wanted.",
    )


def _chosen(row: Row) -> _Reading:
    for reading in _READINGS:
        if set(reading.needed) <= set(row.values):
            return reading
    raise InputRefused(
        f"{row.file} has no column text or messages, and not both prompt and completion; it has "
        f"{', '.join(row.values)}",
        hint="text measures perplexity; prompt and completion, or the last of the messages, what "
        "the model replies.",
    )


def _read(path: Path, reading: _Reading, limit: int | None, by: tuple[str, ...]) -> _Told:
    told = _Told(Slices(column_names(columns.first(path), by)))
    for row in columns.read(path, limit):
        told.parts.add(row, reading.said(row))
        told.count += 1
    told.digest = columns.fingerprint(path, limit)
    return told


def _stand(
    player: Player,
    path: Path,
    reading: _Reading,
    told: _Told,
    file: Path,
    limit: int | None,
    say: Callable[[int, int, float], None],
) -> Standing:
    """All of one contestant's answers, those of an earlier run included."""
    about = (player.facts["identity"], player.facts["tokenizer"], told.digest, reading.name)
    kept = journal.Journal(file, journal.key_of(_FORMAT, *about))
    resumed, seconds = kept.done, None
    try:
        if resumed < told.count:
            rows = islice(columns.read(path, limit), resumed, None)
            seconds = _asked(player, rows, reading, kept, say)
    finally:
        kept.close()
    return Standing(
        facts=player.facts,
        fields=reading.fields,
        metrics=reading.metrics,
        kept=journal.numbers(journal.entries(file), len(reading.fields), told.count),
        seconds=None if resumed or seconds is None else seconds[0],
        model_seconds=None if resumed or seconds is None else seconds[1],
    )


def _asked(
    player: Player,
    rows: Iterator[Row],
    reading: _Reading,
    kept: journal.Journal,
    say: Callable[[int, int, float], None],
) -> tuple[float, float] | None:
    """Ask what is left; gives the seconds of the whole and of the model alone, where known."""
    with quiet():
        model, close = player.open(lambda done, total: None)
        began, before = time.monotonic(), kept.done
        try:
            say(0, before, 0.0)
            while batch := list(islice(rows, _TOGETHER)):
                found = reading.ask(model, batch)
                if isinstance(model, ArtifactModel | Writer):
                    # Before anything is kept: a run that goes on must not take it for an answer.
                    refuse_not_finite(model.not_finite, str(player.facts["name"]))
                for entry in found:
                    kept.add(entry)
                kept.flush()
                say(kept.done - before, kept.done, time.monotonic() - began)
            if isinstance(model, ArtifactModel | Writer):
                return model.seconds, model.model_seconds
            return None
        finally:
            close()


def _say(
    progress: ProgressCallback | None,
    name: str,
    at: int,
    of: int,
    total: int,
    now: int,
    done: int,
    spent: float,
) -> None:
    if progress is not None:
        left = spent / now * (total - done + (of - at - 1) * total) if now else None
        note = f"{done} of {total} rows" if done else ""
        progress(Progress(name, at, of, spent, left, note))


def _surprise(model: Any, rows: Sequence[Row]) -> list[Entry]:
    texts = [row.text("text") for row in rows]
    found = _timed(model, model.loglikelihood_rolling, [_request((text,)) for text in texts])
    entries = []
    for row, text, (likelihood, spent) in zip(rows, texts, found, strict=True):
        tokens, size = len(model.tok_encode(text)), len(text.encode("utf-8", "replace"))
        each = perplexity(-likelihood / max(tokens, 1))
        mark = Mark((-float(likelihood), float(tokens), float(size)), f"{each:.2f}", "")
        entries.append(Entry(row.number, FINE, spent, mark))
    return entries


def _reply(model: Any, rows: Sequence[Row]) -> list[Entry]:
    room = min(_MOST_TOKENS, int(model.max_length) // 2)
    pairs = [_exchange(row) for row in rows]
    prompts = [_prompt(model.tokenizer, messages) for messages, _ in pairs]
    long = [len(model.tok_encode(prompt)) + room > model.max_length for prompt in prompts]
    asked = {"until": [], "max_gen_toks": room, "do_sample": False}
    requests = [_request((p, asked)) for p, cut in zip(prompts, long, strict=True) if not cut]
    replies = _timed(model, model.generate_until, requests)
    entries = []
    for row, (_, wanted), cut in zip(rows, pairs, long, strict=True):
        if cut:
            entries.append(Entry(row.number, LEFT_OUT, math.nan, None, "too long"))
        else:
            said, spent = next(replies)
            mark = judged(said.strip(), wanted.strip())
            entries.append(Entry(row.number, FINE, spent, mark))
    return entries


def _timed(
    model: Any, ask: Callable[..., Sequence[Any]], requests: Sequence[Any]
) -> Iterator[tuple[Any, float]]:
    """Each request's answer, and the artifact's own milliseconds for it; NaN for other models."""
    if not isinstance(model, ArtifactModel):
        answers = ask(requests, disable_tqdm=True) if requests else ()
        yield from ((answer, math.nan) for answer in answers)
        return
    for request in requests:
        before = model.model_seconds
        (answer,) = ask([request], disable_tqdm=True)
        yield answer, 1000 * (model.model_seconds - before)


def _write(model: Any, rows: Sequence[Row]) -> list[Entry]:
    entries = []
    for row in rows:
        wanted, before = row.text("target").strip(), model.model_seconds
        found, spent = model.answer(row.text("source")), 1000 * (model.model_seconds - before)
        if found is None:
            entries.append(Entry(row.number, LEFT_OUT, math.nan, None, "too long"))
        else:
            entries.append(Entry(row.number, FINE, spent, judged(found.strip(), wanted)))
    return entries


def _exchange(row: Row) -> tuple[list[dict[str, str]], str]:
    """What the model is told, as messages, and the reply that is wanted."""
    if "messages" not in row.values:
        return [{"role": "user", "content": row.text("prompt")}], row.text("completion")
    messages = row.values["messages"]
    sound = isinstance(messages, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(k), str) for k in ("role", "content"))
        for one in messages
    )
    if not sound or len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise row.wrong("messages", "a list of role and content, the assistant's last")
    return messages[:-1], messages[-1]["content"]


def _exchanged(row: Row) -> str:
    messages, wanted = _exchange(row)
    return " ".join([*(one["content"] for one in messages), wanted])


def _prompt(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    if not tokenizer.chat_template:
        return "\n".join(one["content"] for one in messages)
    words: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return words


def _request(arguments: tuple[Any, ...]) -> Any:
    from lm_eval.api.instance import Instance

    kind = "loglikelihood_rolling" if len(arguments) == 1 else "generate_until"
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def _texts(
    path: Path, reading: _Reading, limit: int | None, wanted: Sequence[int]
) -> dict[int, str]:
    def rows() -> Iterator[Row]:
        yield from islice(columns.read(path, limit), max(wanted))

    return {row.number: reading.said(row) for row in rows() if row.number in set(wanted)}


def _replies(
    needed: tuple[str, ...],
    ask: Callable[[Any, Sequence[Row]], list[Entry]],
    said: Callable[[Row], str],
) -> _Reading:
    return _Reading("replies", needed, FIELDS, METRICS, ask, said)


_WRITTEN = _replies(_PAIRS, _write, lambda row: f"{row.text('source')} {row.text('target')}")
_READINGS = (
    _replies(_CHATS, _reply, _exchanged),
    _replies(_ANSWERS, _reply, _exchanged),
    _Reading(
        "perplexity",
        _TEXTS,
        ("nats", "tokens", "bytes"),
        (
            ratio_of("perplexity", [(1.0, 0)], [(1.0, 1)], then=perplexity, better=-1),
            ratio_of("bits per byte", [(1 / math.log(2), 0)], [(1.0, 2)], better=-1),
        ),
        _surprise,
        lambda row: row.text("text"),
    ),
)
