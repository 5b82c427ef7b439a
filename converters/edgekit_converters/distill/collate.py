"""Rows to tensors: tokens, labels, and which guesses count. Nothing is kept between batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgekit.errors import Unsupported
from edgekit_converters.distill.losses import rationale
from edgekit_converters.distill.models import GENERATION, MASKED, Taught
from edgekit_converters.folder import read_object
from edgekit_converters.tokenizer import mask_token_id

IGNORED = -100
_MASKED_SHARE = 0.15
Row = Mapping[str, Any]
Chat = Callable[[list[Any]], str]


class NumberedRows:
    """Rows that know their number, over all rows of a job, besides their content."""

    def __init__(self, rows: Any, first: int = 0) -> None:
        self._rows = rows
        self._first = first

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return {**self._rows[index], "row": self._first + index}

    def first(self, count: int) -> list[Any]:
        """The content of the first rows."""
        return [self._rows[index] for index in range(min(count, len(self)))]


@dataclass(frozen=True)
class Collate:
    """Turns rows into a batch for a model of one task.

    Attributes:
        tokenizer: cuts at ``max_length``.
        task: a task's name.
        max_length: most tokens of a text.
        pad_id: fills up; masked.
        mask_id: hides tokens, for ``fill-mask``.
        labels: class names by index, where the data has labels.
        seed: of the tokens that are hidden: the same ones each time, so that the teacher's answers
            can be kept.
        reasons: settings of the loss ``rationale``; None where rows have no reasons.
        chat: makes one text of a conversation; None where the model has no template for it.
    """

    tokenizer: Tokenizer
    task: str
    max_length: int
    pad_id: int
    mask_id: int | None
    labels: tuple[str, ...] = ()
    seed: int = 0
    reasons: rationale.Config | None = None
    chat: Chat | None = None

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """One batch: inputs, ``counted``, ``weights``, ``row`` and, where known, ``labels``."""
        if self.reasons is not None:
            return self._reasoned(rows)
        encodings = [self._encoded(row) for row in rows]
        batch = self._padded([e.ids for e in encodings], [e.type_ids for e in encodings])
        batch["row"] = torch.tensor([int(row["row"]) for row in rows])
        batch["weights"] = torch.ones(len(rows))
        if self.task == GENERATION:
            _next_tokens(batch, [_prompt_length(self, row) for row in rows])
        elif self.task == MASKED:
            self._hide(batch, encodings)
        else:
            self._labelled(batch, rows)
        return batch

    def _encoded(self, row: Row) -> Any:
        if row.get("messages") and self.chat is not None:
            return self.tokenizer.encode(self.chat(row["messages"]), add_special_tokens=False)
        return self.tokenizer.encode(text_of(row), row.get("text_b") or None)

    def _padded(self, ids: list[list[int]], types: list[list[int]]) -> dict[str, Tensor]:
        ids = [one[: self.max_length] for one in ids]
        width = max(len(one) for one in ids)

        def filled(lists: list[list[int]], value: int) -> Tensor:
            return torch.tensor([one + [value] * (width - len(one)) for one in lists])

        mask = filled([[1] * len(one) for one in ids], 0)
        return {
            "input_ids": filled(ids, self.pad_id),
            "attention_mask": mask,
            "token_type_ids": filled([one[: self.max_length] for one in types], 0),
            "counted": mask.clone(),
        }

    def _labelled(self, batch: dict[str, Tensor], rows: Sequence[Row]) -> None:
        if not self.labels or rows[0].get("labels") is None:
            return
        named = {label: index for index, label in enumerate(self.labels)}
        batch["labels"] = torch.tensor([named[str(row["labels"][0])] for row in rows])

    def _hide(self, batch: dict[str, Tensor], encodings: Sequence[Any]) -> None:
        """Hide 15 % of the tokens of a text, at least one: those alone are guessed."""
        ids, labels = batch["input_ids"], torch.full_like(batch["input_ids"], IGNORED)
        for index, encoding in enumerate(encodings):
            own = range(min(len(encoding.ids), self.max_length))
            plain = [at for at in own if not encoding.special_tokens_mask[at]]
            draw = random.Random(self.seed * 1_000_003 + int(batch["row"][index]))
            count = min(len(plain), max(1, round(_MASKED_SHARE * len(plain))))
            for at in draw.sample(plain, count):
                labels[index, at] = ids[index, at]
                ids[index, at] = int(self.mask_id or 0)
        batch["labels"] = labels
        batch["counted"] = (labels != IGNORED).long()

    def _reasoned(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        assert self.reasons is not None
        made = [(e, row) for row in rows for e in rationale.examples(row, self.reasons)]
        prompts = [self.tokenizer.encode(prompt).ids for (prompt, _, _), _ in made]
        ends = [] if self.mask_id is None else [self.mask_id]
        wholes = [
            ids + self.tokenizer.encode(target, add_special_tokens=False).ids + ends
            for ids, ((_, target, _), _) in zip(prompts, made, strict=True)
        ]
        batch = self._padded(wholes, [[0] * len(ids) for ids in wholes])
        batch["row"] = torch.tensor([int(row["row"]) for _, row in made])
        # Each row counts once for its label, so the mean over rows is kept.
        scale = len(made) / len(rows)
        batch["weights"] = torch.tensor([weight * scale for (_, _, weight), _ in made])
        _next_tokens(batch, [len(ids) for ids in prompts])
        return batch


def collate_for(
    model: Taught,
    labels: tuple[str, ...] = (),
    seed: int = 0,
    reasons: rationale.Config | None = None,
) -> Collate:
    """The collation that a model's tokenizer and task ask for."""
    tokenizer, config = model.loaded.tokenizer, model.loaded.config
    end = getattr(config, "eos_token_id", None)
    end = end[0] if isinstance(end, list) else end
    hidden = mask_token_id(model.loaded.source.folder, tokenizer) if reasons is None else end
    pad = getattr(config, "pad_token_id", None)
    return Collate(
        tokenizer,
        model.task,
        model.loaded.max_length,
        int(pad or 0) if not isinstance(pad, list) else int(pad[0]),
        hidden,
        labels,
        seed,
        reasons,
        chat_of(model.loaded.source.folder) if model.task == GENERATION else None,
    )


def text_of(row: Row) -> str:
    """The text of a row, whatever its form."""
    for name in ("text", "input"):
        if row.get(name):
            return str(row[name])
    if row.get("completion") is not None:
        return f"{row.get('prompt') or ''}{row['completion']}"
    raise Unsupported(
        "the data are conversations, and the model has no chat template to write them with",
        hint="Give texts, or prompt and completion.",
    )


def chat_of(folder: Path) -> Chat | None:
    """The folder's chat template as a function; None where it has none."""
    if not read_object(folder / "tokenizer_config.json").get("chat_template"):
        return None
    from transformers import AutoTokenizer

    template = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    return lambda messages: str(template.apply_chat_template(messages, tokenize=False))


def _prompt_length(collate: Collate, row: Row) -> int:
    """Tokens that are given and not guessed."""
    prompt = row.get("prompt")
    return len(collate.tokenizer.encode(str(prompt)).ids) if prompt else 1


def _next_tokens(batch: dict[str, Tensor], prompts: Sequence[int]) -> None:
    """Each position is labelled with the token after it; those inside a prompt do not count."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = torch.where(mask[:, 1:] > 0, ids[:, 1:], IGNORED)
    for index, length in enumerate(prompts):
        labels[index, : max(0, length - 1)] = IGNORED
    batch["labels"] = labels
    batch["counted"] = (labels != IGNORED).long()
