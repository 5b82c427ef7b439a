"""What asking came to: rows, reasons, tokens and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgekit_converters.teach import filters, formats
from edgekit_converters.teach.filters import Dropped, Row
from edgekit_converters.teach.options import Options
from edgekit_converters.teach.teachers import Teacher

_MILLION = 1e6


@dataclass
class Asked:
    """Rows and what they cost.

    Attributes:
        rows: that the answers became.
        numbers: which prompt each row is from, from 1.
        refused: prompts whose answers became no row.
        new: answers that were asked for.
        known: answers that the journal had.
        prompt_tokens: that the teacher read, for all answers.
        answer_tokens: that it wrote.
        paid_prompt_tokens: of the new answers.
        paid_answer_tokens: of the new answers.
    """

    rows: list[Row] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    refused: list[Dropped] = field(default_factory=list)
    new: int = 0
    known: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    paid_prompt_tokens: int = 0
    paid_answer_tokens: int = 0


def forecast(prompts: Sequence[str], teacher: Teacher, options: Options) -> dict[str, Any]:
    """What would be asked, and what it would cost at most."""
    questions = [formats.messages(prompt, options) for prompt in prompts]
    times = 1 + options.re_ask
    read = times * sum(teacher.count(question) for question in questions)
    written = times * len(questions) * options.max_tokens
    return {
        "dry_run": True,
        "prompts": len(prompts),
        "questions": times * len(questions),
        "first_question": questions[0],
        "tokens": {
            "prompt": read,
            "answer_at_most": written,
            "counted": "by the teacher's tokenizer" if teacher.exact else "estimated by length",
        },
        "cost_at_most": _cost(read, written, options),
    }


def report(
    asked: Asked,
    prompts: int,
    kept: Sequence[Row],
    gone: Sequence[Dropped],
    teacher: Teacher | None,
    options: Options,
) -> dict[str, Any]:
    """The report on a run, JSON-able: counts, and every dropped row with its reason."""
    reasons = {"answer": len(asked.refused)} if asked.refused else {}
    found: dict[str, Any] = {
        "rows": len(kept),
        "came_in": prompts,
        "dropped": {**reasons, **filters.counts(gone)},
        "dropped_rows": [asdict(one) for one in (*asked.refused, *gone)],
    }
    labels = Counter(str(row["label"]) for row in kept if isinstance(row.get("label"), str))
    if labels:
        found["labels"] = dict(sorted(labels.items()))
    if teacher is not None:
        found["teacher"] = teacher.identity
        found["answers"] = {"asked_now": asked.new, "known_before": asked.known}
        found["tokens"] = {"prompt": asked.prompt_tokens, "answer": asked.answer_tokens}
        found["paid_now"] = {
            "prompt": asked.paid_prompt_tokens,
            "answer": asked.paid_answer_tokens,
            "cost": _cost(asked.paid_prompt_tokens, asked.paid_answer_tokens, options),
        }
        found["settings"] = {
            name: getattr(options, name)
            for name in ("format", "temperature", "max_tokens", "seed", "re_ask", "erase_system")
        }
    return found


def _cost(read: int, written: int, options: Options) -> float | None:
    if options.price_in is None and options.price_out is None:
        return None
    return (read * (options.price_in or 0.0) + written * (options.price_out or 0.0)) / _MILLION
