"""Question answering: first and last token of the answer in the context (Rajpurkar et al. 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset

from edgekit.scoring.kinds.answers import f1, normalised
from edgekit.tasks import Context, Query, Run
from edgekit.tasks.question_answering import answer
from edgekit_converters.training.data import Data
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import Batch, Coding, Collator, Columns

AUTO_CLASS = "AutoModelForQuestionAnswering"
PEFT_TASK = "QUESTION_ANS"
_OVERLAP = 128


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Nothing in config.json."""
    return {}


def encoded(batch: Batch, coding: Coding) -> Columns:
    """Windows over the context, each with the answer's tokens; 0 and 0 where it has none.

    What is needed to read an answer back is kept beside them.
    """
    coded = coding.tokenizer(
        batch["question"],
        batch["context"],
        truncation="only_second",
        max_length=coding.max_length,
        stride=min(_OVERLAP, coding.max_length // 4),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    owner = coded["overflow_to_sample_mapping"]
    made: Columns = {name: coded[name] for name in coding.inputs}
    spans = []
    for window, row in enumerate(owner):
        sides = coded.sequence_ids(window)
        starts, texts = batch["starts"][row], batch["answers"][row]
        place = (starts[0], starts[0] + len(texts[0])) if starts else None
        spans.append(_span(coded["offset_mapping"][window], sides, place))
    made["start_positions"] = [start for start, _ in spans]
    made["end_positions"] = [end for _, end in spans]
    made["offsets"] = coded["offset_mapping"]
    made["words"] = [[-1 if w is None else w for w in coded.word_ids(i)] for i in range(len(owner))]
    sides = [coded.sequence_ids(i) for i in range(len(owner))]
    made["sides"] = [[-1 if side is None else side for side in row] for row in sides]
    for name in ("question", "context", "answers"):
        made[name] = [batch[name][row] for row in owner]
    return made


def _span(
    offsets: list[tuple[int, int]], sides: list[int | None], place: tuple[int, int] | None
) -> tuple[int, int]:
    """First and last token of a span of characters; the first special token where it is cut off."""
    nothing = 0 if sides[0] is None else len(sides) - 1
    if place is None:
        return nothing, nothing
    inside = [
        index
        for index, (start, end) in enumerate(offsets)
        if sides[index] == 1 and start < place[1] and end > place[0]
    ]
    if not inside or offsets[inside[0]][0] > place[0] or offsets[inside[-1]][1] < place[1]:
        return nothing, nothing
    return inside[0], inside[-1]


def collator(coding: Coding) -> Collator:
    """Pads tokens; what only reading answers back needs is left out."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        places = {
            name: torch.tensor([row[name] for row in rows])
            for name in ("start_positions", "end_positions")
        }
        return {**coding.padded(rows), **places}

    return collate


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Exact match and F1 over words, as SQuAD defines them; the best over several answers."""
    runs: dict[tuple[str, str], list[Run]] = {}
    truth: dict[tuple[str, str], list[str]] = {}
    place = 0
    for batch, outputs in tasks.batches(model, rows, collator(coding)):
        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1).float().cpu()
        for index in range(len(batch["input_ids"])):
            row = rows[place]
            place += 1
            length = len(row["input_ids"])
            key = (row["question"], row["context"])
            run = Run(
                output=logits[index : index + 1, :length].numpy(),
                ids=np.array([row["input_ids"]]),
                offsets=tuple((start, end) for start, end in row["offsets"]),
                words=tuple(None if word < 0 else word for word in row["words"]),
                sequences=tuple(None if side < 0 else side for side in row["sides"]),
            )
            runs.setdefault(key, []).append(run)
            truth[key] = row["answers"]
    scores = [_scores(_best(key, found), truth[key]) for key, found in runs.items()]
    exact, overlap = np.mean(scores, axis=0)
    return {"exact": float(exact), "f1": float(overlap)}


def _best(key: tuple[str, str], runs: list[Run]) -> str:
    """The model's answer; nothing where that is likelier than any span."""
    question, context = key
    made = answer(runs, Query(question, context), Context(top_k=1))
    (first, *_) = made["answers"] or [{"answer": "", "score": 0.0}]
    return "" if made["no_answer"] > first["score"] else str(first["answer"])


def _scores(given: str, truth: list[str]) -> tuple[float, float]:
    wanted = truth or [""]
    exact = any(normalised(given) == normalised(one) for one in wanted)
    return float(exact), max(f1(given, one) for one in wanted)
