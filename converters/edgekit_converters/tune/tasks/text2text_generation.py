"""Sequence to sequence: ``source`` in, ``target`` out (T5, BART and their kin)."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from torch.nn import functional as F

from edgekit_converters.training.data import Data
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import IGNORED, Batch, Coding, Collator, Columns
from edgekit_converters.tune.tasks.text_generation import likelihood
from edgekit_converters.tune.tasks.token_classification import padded_labels

AUTO_CLASS = "AutoModelForSeq2SeqLM"
PEFT_TASK = "SEQ_2_SEQ_LM"
_GENERATED = 64  # held-out rows that are written out in full


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Nothing in config.json."""
    return {}


def encoded(batch: Batch, coding: Coding) -> Columns:
    """Tokens of the source; those of the target as labels."""
    made: Columns = dict(coding.tokens(batch["source"]))
    targets = coding.tokenizer(
        text_target=batch["target"], truncation=True, max_length=coding.max_length
    )
    end = coding.tokenizer.eos_token_id
    made["labels"] = [
        ids if end is None or ids[-1:] == [end] else [*ids[: coding.max_length - 1], end]
        for ids in targets["input_ids"]
    ]
    return made


def collator(coding: Coding) -> Collator:
    """Pads both sides."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        longest = max(len(row["labels"]) for row in rows)
        return {**coding.padded(rows), "labels": padded_labels(rows, longest)}

    return collate


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Share of targets written exactly, greedily; perplexity and right next tokens."""
    total, right, count = 0.0, 0, 0
    with_labels = [
        (row["input_ids"], row["labels"]) for row in rows.select(range(min(_GENERATED, len(rows))))
    ]
    for batch, outputs in _forced(model, rows, coding):
        labels = batch["labels"]
        told = labels != IGNORED
        logits = outputs.logits.float()
        total += float(F.cross_entropy(logits[told], labels[told], reduction="sum"))
        right += int((logits[told].argmax(dim=-1) == labels[told]).sum())
        count += int(told.sum())
    exact = [_written(model, ids, labels, coding) for ids, labels in with_labels]
    return {"exact": sum(exact) / len(exact), **likelihood(total, right, count)}


def _forced(model: Any, rows: Dataset, coding: Coding) -> Any:
    """Batches with the decoder's inputs in them: the labels shifted by one."""
    plain = collator(coding)

    def collate(chosen: list[dict[str, Any]]) -> dict[str, Any]:
        batch = plain(chosen)
        shifted = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
        return {**batch, "decoder_input_ids": shifted}

    return tasks.batches(model, rows, collate)


@torch.no_grad()
def _written(model: Any, ids: list[int], labels: list[int], coding: Coding) -> bool:
    """Whether the greedy answer reads as the target does."""
    given = torch.tensor([ids], device=model.device)
    made = model.generate(
        input_ids=given, max_new_tokens=len(labels) + 1, do_sample=False, num_beams=1
    )[0]
    texts = [coding.tokenizer.decode(one, skip_special_tokens=True) for one in (made, labels)]
    return str(texts[0]).strip() == str(texts[1]).strip()
