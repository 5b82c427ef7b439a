"""``edgekit teach``: prompts in, rows that a teacher wrote out, cleaned, with a report."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle.disk import as_write_errors, flush_folder
from edgekit.errors import CheckFailed, InputRefused, OutputExists, SpecError
from edgekit.stages import ProgressCallback, Stages
from edgekit_converters.teach import filters, formats, journal, report
from edgekit_converters.teach.filters import Dropped, Row
from edgekit_converters.teach.formats import NoRow
from edgekit_converters.teach.options import Options
from edgekit_converters.teach.pace import Pace
from edgekit_converters.teach.report import Asked
from edgekit_converters.teach.teachers import Answered, Teacher
from edgekit_converters.training import data_files

_STAGES = {"teacher": 5.0, "ask": 100.0, "clean": 5.0, "write": 1.0}
_PROMPT_COLUMNS = ("input", "prompt", "text", "question")
_TELLINGS = 20


@dataclass(frozen=True)
class Taught:
    """What came of it.

    Attributes:
        path: the file of rows; None for a dry run.
        report: counts, tokens, cost, and what was dropped and why.
    """

    path: Path | None
    report: dict[str, Any]


def report_path(out: Path) -> Path:
    """Where the report on a file of rows is."""
    return out.with_name(f"{out.stem}.report.json")


def teach(options: Options, progress: ProgressCallback | None = None) -> Taught:
    """Ask a teacher, or clean what one wrote before.

    Args:
        options: who is asked what, and what is kept.
        progress: told of each stage.

    Raises:
        SpecError: a request that contradicts itself or names what does not exist.
        InputMissing, InputRefused: prompts, rows or the evaluation file cannot be read; the
            endpoint knows no such model or refuses a question.
        PermissionRefused: the endpoint refuses the key.
        Unavailable: nothing answers at the endpoint.
        TemporaryFailure: it failed too often; the answers so far are kept.
        CheckFailed: no row is left.
        OutputExists, CannotWrite, StorageFull: the rows cannot be written.
    """
    formats.answer_format(options.format)
    if options.re_ask and options.format == "answer":
        raise SpecError(
            "re-asking compares labels, and free answers have none",
            hint="Use --format label or rationale, or leave --re-ask out.",
        )
    _refuse_taken(options)
    stages = Stages(dict(_STAGES), progress)
    if options.clean is not None:
        rows = _rows_of(options.clean)
        asked = Asked(rows=list(rows), numbers=list(range(1, len(rows) + 1)))
        return _finished(asked, len(rows), None, options, stages)
    assert options.prompts is not None
    prompts = _prompts(options.prompts)
    with stages.stage("teacher"):
        teacher = _teacher(options, stages)
    if options.dry_run:
        stages.finish()
        return Taught(None, report.forecast(prompts, teacher, options))
    with stages.stage("ask"):
        asked = _ask_all(prompts, teacher, options, stages)
    return _finished(asked, len(prompts), teacher, options, stages)


def _teacher(options: Options, stages: Stages) -> Teacher:
    if options.endpoint:
        from edgekit_converters.teach.teachers.endpoint import EndpointTeacher

        return EndpointTeacher(options, stages.note)
    from edgekit_converters.teach.teachers.folder import FolderTeacher

    return FolderTeacher(options)


def _refuse_taken(options: Options) -> None:
    if options.dry_run or options.force:
        return
    for path in (options.out, report_path(options.out)):
        if os.path.lexists(path):
            raise OutputExists(f"{path} already exists", path=str(path))


def _prompts(path: Path) -> list[str]:
    """The prompts of a file, each once.

    Raises:
        InputMissing, InputRefused: the file cannot be read, or has no prompt in it.
    """
    found: dict[str, None] = {}
    for where, record in data_files.records(path):
        column = next((name for name in _PROMPT_COLUMNS if name in record), None)
        text = record.get(column) if column else None
        if not isinstance(text, str) or not text.strip():
            raise InputRefused(
                f"{path.name}, {where} has no prompt",
                hint=f"A prompt a line, or a column {', '.join(_PROMPT_COLUMNS)}.",
            )
        found[text.strip()] = None
    if not found:
        raise InputRefused(f"{path.name} has no prompts", hint="Give one prompt a line.")
    return list(found)


def _rows_of(path: Path) -> list[Row]:
    rows = [record for _, record in data_files.records(path)]
    if not rows:
        raise InputRefused(f"{path.name} has no rows", hint="Give a file with data in it.")
    return rows


def _ask_all(prompts: Sequence[str], teacher: Teacher, options: Options, stages: Stages) -> Asked:
    made = Asked()
    pace = Pace(options.per_minute)
    every = max(1, len(prompts) // _TELLINGS)
    with journal.Journal(journal.beside(options.out)) as answers:
        for number, prompt in enumerate(prompts, start=1):
            told = [
                _answer(prompt, turn, teacher, options, answers, pace, made)
                for turn in range(1 + options.re_ask)
            ]
            try:
                made.rows.append(_row(prompt, told, options))
                made.numbers.append(number)
            except NoRow as reason:
                made.refused.append(Dropped(number, "answer", str(reason)))
            if number % every == 0 or number == len(prompts):
                stages.note(f"prompt {number} of {len(prompts)}, {made.known} answers known before")
    return made


def _answer(
    prompt: str,
    turn: int,
    teacher: Teacher,
    options: Options,
    answers: journal.Journal,
    pace: Pace,
    made: Asked,
) -> Answered:
    """An answer from the journal, or from the teacher."""
    messages = formats.messages(prompt, options)
    said = [options.temperature, options.max_tokens, options.seed, turn]
    name = journal.key(teacher.identity, messages, said)
    found = answers.get(name)
    if found is not None:
        made.known += 1
    else:
        pace.wait()
        # A number of its own for every question, the same in every run.
        found = teacher.ask(messages, int(name[:7], 16))
        answers.add(name, found)
        made.new += 1
        made.paid_prompt_tokens += found.prompt_tokens
        made.paid_answer_tokens += found.answer_tokens
    made.prompt_tokens += found.prompt_tokens
    made.answer_tokens += found.answer_tokens
    return found


def _row(prompt: str, told: Sequence[Answered], options: Options) -> Row:
    """The row of a prompt; with several answers one of the majority.

    Raises:
        NoRow: no whole answer in the right form, or no majority for a label.
    """
    module = formats.answer_format(options.format)
    rows: list[Row] = []
    reasons: list[str] = []
    for answered in told:
        try:
            if not answered.whole:
                raise NoRow("cut at --max-tokens")
            rows.append(module.row(prompt, answered.text, options))
        except NoRow as reason:
            reasons.append(str(reason))
    if not rows:
        raise NoRow(reasons[0])
    if len(told) == 1:
        return rows[0]
    labels = [module.label(dict(row)) for row in rows]
    label, count = Counter(labels).most_common(1)[0]
    if 2 * count <= len(told):
        raise NoRow(f"the teacher is not sure: {count} of {len(told)} say the same")
    return rows[labels.index(label)]


def _finished(
    asked: Asked, prompts: int, teacher: Teacher | None, options: Options, stages: Stages
) -> Taught:
    with stages.stage("clean"):
        kept, gone = filters.clean(asked.rows, options)
    numbered = [Dropped(asked.numbers[one.row - 1], one.by, one.why) for one in gone]
    made = report.report(asked, prompts, kept, numbered, teacher, options)
    if not kept:
        raise CheckFailed(
            f"no row is left of {prompts}: {_counted(made['dropped'])}",
            hint="Nothing was written; look at the answers in the journal, or filter less.",
            **made,
        )
    with stages.stage("write"):
        lines = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in kept)
        _write(report_path(options.out), json.dumps(made, indent=1, ensure_ascii=False) + "\n")
        _write(options.out, lines)
    stages.finish()
    return Taught(options.out, made)


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} by {name}" for name, count in reasons.items()) or "none came in"


def _write(path: Path, text: str) -> None:
    """All of the file, or what was there before."""
    part = path.with_name(f".{path.name}.part")
    with as_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Half a surrogate pair becomes an escape, which JSON has too.
            with part.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        flush_folder(path.absolute().parent)
