"""Token classification: a label for each word, learned and read at the word's first token."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
from datasets import Dataset

from edgekit_converters.training.data import Data
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import IGNORED, Batch, Coding, Collator, Columns

AUTO_CLASS = "AutoModelForTokenClassification"
PEFT_TASK = "TOKEN_CLS"


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Label names, ``O`` first."""
    names = tuple(sorted(data.labels, key=lambda name: name != "O"))
    own = [config.id2label[index] for index in sorted(config.id2label)]
    if set(names) <= set(own):
        names = tuple(own)
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }


def encoded(batch: Batch, coding: Coding) -> Columns:
    """Tokens of the words joined by spaces, as a user's text arrives; labels at first tokens."""
    texts = [" ".join(words) for words in batch["tokens"]]
    coded = coding.tokenizer(
        texts, truncation=True, max_length=coding.max_length, return_offsets_mapping=True
    )
    labels = [
        _aligned(words, [coding.config.label2id[name] for name in names], offsets)
        for words, names, offsets in zip(
            batch["tokens"], batch["labels"], coded["offset_mapping"], strict=True
        )
    ]
    return {**{name: coded[name] for name in coding.inputs}, "labels": labels}


def _aligned(words: list[str], labels: list[int], offsets: list[tuple[int, int]]) -> list[int]:
    """A target for each token: its word's label at the word's first token, else none."""
    ends = list(accumulate(len(word) + 1 for word in words))
    made, word, last = [], 0, -1
    for start, end in offsets:
        if end <= start:  # a special token
            made.append(IGNORED)
            continue
        # Some tokenizers count the space before a word as part of it: the end tells the word.
        while word < len(words) - 1 and end > ends[word] - 1:
            word += 1
        made.append(labels[word] if word != last else IGNORED)
        last = word
    return made


def collator(coding: Coding) -> Collator:
    """Pads tokens and labels."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        padded = coding.padded(rows)
        return {**padded, "labels": padded_labels(rows, padded["input_ids"].shape[1])}

    return collate


def padded_labels(rows: list[dict[str, Any]], length: int) -> torch.Tensor:
    """The rows' targets filled up on the right, ``(rows, length)``."""
    made = torch.full((len(rows), length), IGNORED)
    for index, row in enumerate(rows):
        made[index, : len(row["labels"])] = torch.tensor(row["labels"])
    return made


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Entity precision, recall and F1 (seqeval), and the share of right words."""
    from seqeval import metrics

    truth: list[list[str]] = []
    answers: list[list[str]] = []
    for batch, outputs in tasks.batches(model, rows, collator(coding)):
        chosen = outputs.logits.argmax(dim=-1).cpu()
        for labels, row in zip(batch["labels"].cpu(), chosen, strict=True):
            told = labels != IGNORED
            truth.append([coding.config.id2label[i] for i in labels[told].tolist()])
            answers.append([coding.config.id2label[i] for i in row[told].tolist()])
    return {
        "f1": float(metrics.f1_score(truth, answers, zero_division=0)),
        "precision": float(metrics.precision_score(truth, answers, zero_division=0)),
        "recall": float(metrics.recall_score(truth, answers, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(truth, answers)),
    }
