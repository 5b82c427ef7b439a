"""Causal language models: chats with the loss on the answers only, prompts, or plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from datasets import Dataset
from torch.nn import functional as F

from edgekit.errors import InputRefused
from edgekit_converters.training.data import Data
from edgekit_converters.training.data_forms.text_generation import CHAT, PLAIN
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import IGNORED, Batch, Coding, Collator, Columns
from edgekit_converters.tune.tasks.token_classification import padded_labels

AUTO_CLASS = "AutoModelForCausalLM"
PEFT_TASK = "CAUSAL_LM"

Spans = list[tuple[int, int]]


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Nothing in config.json."""
    return {}


def encoded(batch: Batch, coding: Coding) -> Columns:
    """Tokens, and as labels those that are learned: answers of a chat, or a completion.

    A text that is longer than the limit becomes several rows where all of it is learned, and is
    cut elsewhere; a row whose answer is cut off is left out.

    Raises:
        InputRefused: chats, and a model without a chat template.
    """
    made: Columns = {"input_ids": [], "labels": []}
    for text, learned, special in _texts(batch, coding):
        coded = coding.tokenizer(
            text, add_special_tokens=special, return_offsets_mapping=True, truncation=False
        )
        ids = coded["input_ids"]
        labels = _labels(ids, coded["offset_mapping"], learned)
        end = coding.tokenizer.eos_token_id
        if special and end is not None and ids[-1:] != [end]:
            ids, labels = [*ids, end], [*labels, end]
        step = coding.max_length
        starts = range(0, len(ids), step) if coding.kind == PLAIN else range(1)
        for start in starts:
            part = labels[start : start + step]
            if any(label != IGNORED for label in part[1:]):
                made["input_ids"].append(ids[start : start + step])
                made["labels"].append(part)
    made["attention_mask"] = [[1] * len(ids) for ids in made["input_ids"]]
    return made


def _texts(batch: Batch, coding: Coding) -> Iterator[tuple[str, Spans, bool]]:
    """Each row's whole text, the spans that are learned, and whether special tokens are due."""
    for messages, prompt, completion in zip(
        batch["messages"], batch["prompt"], batch["completion"], strict=True
    ):
        if coding.kind == PLAIN:
            yield completion, [(0, len(completion))], True
        elif coding.kind == CHAT or coding.tokenizer.chat_template:
            asked = [{"role": "user", "content": prompt}]
            turns = messages or [*asked, {"role": "assistant", "content": completion}]
            yield (*_chat(turns, coding), False)
        else:
            # The space belongs to the answer: so it is when the model is asked.
            text = f"{prompt.rstrip()} {completion.lstrip()}"
            yield text, [(len(prompt.rstrip()), len(text))], True


def _chat(turns: list[dict[str, str]], coding: Coding) -> tuple[str, Spans]:
    """A chat as its template writes it, and where the assistant's words are, their end included."""
    if not coding.tokenizer.chat_template:
        raise InputRefused(
            f"{coding.folder.name} has no chat template, so it does not know what a chat is",
            hint="Start from a chat model, or give the columns prompt and completion.",
        )
    whole = _rendered(turns, coding)
    spans: Spans = []
    for index, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        asked = _rendered(turns[:index], coding, add_generation_prompt=True)
        told = _rendered(turns[: index + 1], coding)
        # A template that rewrites earlier turns does not show where their answers are.
        if whole.startswith(told) and told.startswith(asked):
            spans.append((len(asked), len(told)))
    if not spans:
        start = whole.rfind(turns[-1]["content"])
        spans = [(max(start, 0), len(whole))]
    return whole, spans


def _rendered(turns: list[dict[str, str]], coding: Coding, **more: Any) -> str:
    return str(coding.tokenizer.apply_chat_template(turns, tokenize=False, **more))


def _labels(ids: list[int], offsets: list[tuple[int, int]], learned: Spans) -> list[int]:
    return [
        token if any(start < last and end > first for first, last in learned) else IGNORED
        for token, (start, end) in zip(ids, offsets, strict=True)
    ]


def collator(coding: Coding) -> Collator:
    """Pads tokens and labels."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        padded = coding.padded(rows)
        return {**padded, "labels": padded_labels(rows, padded["input_ids"].shape[1])}

    return collate


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Perplexity and share of right next tokens, over what is learned."""
    total, right, count = 0.0, 0, 0
    for batch, outputs in tasks.batches(model, rows, collator(coding)):
        logits, labels = outputs.logits[:, :-1].float(), batch["labels"][:, 1:]
        told = labels != IGNORED
        total += float(F.cross_entropy(logits[told], labels[told], reduction="sum"))
        right += int((logits[told].argmax(dim=-1) == labels[told]).sum())
        count += int(told.sum())
    return likelihood(total, right, count)


def likelihood(total: float, right: int, count: int) -> dict[str, float]:
    """Metrics of summed cross-entropy (nats) and right tokens over a count of tokens."""
    if not count:
        return {}
    loss = total / count
    return {
        "perplexity": math.exp(min(loss, 700.0)),
        "token_accuracy": right / count,
        "loss": loss,
    }
