"""The model that is pruned, its texts as batches, and its outputs as rows that can be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import InputRefused
from edgekit.tasks import task as task_meaning
from edgekit_converters.detect import task_of
from edgekit_converters.distill.models import token_mean
from edgekit_converters.distill.outputs import Outputs
from edgekit_converters.folder import check
from edgekit_converters.load import Loaded, load
from edgekit_converters.source import Source
from edgekit_converters.tasks import head_module

Batch = Mapping[str, Tensor]

CAUSAL, SEQ2SEQ = "text-generation", "text2text-generation"
_GENERATING = {CAUSAL: "AutoModelForCausalLM", SEQ2SEQ: "AutoModelForSeq2SeqLM"}
# Longer texts cost more and say little more of what a weight is good for.
LONGEST = 128


@dataclass(frozen=True)
class Subject:
    """A loaded model with what turns its output into one tensor.

    Attributes:
        loaded: model, tokenizer and origin.
        task: a name of ``edgekit.tasks``, ``text-generation`` or ``text2text-generation``.
        head: from the model's output and mask to a tensor; None where logits are taken.
        categorical: rows are logits of one choice each; otherwise they are vectors.
    """

    loaded: Loaded
    task: str
    head: nn.Module | None
    categorical: bool

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self.loaded.model

    def holding(self, model: Any) -> Subject:
        """The same folder's settings with another model in it."""
        return replace(self, loaded=replace(self.loaded, model=model, config=model.config))

    def batches(self, texts: Sequence[str], size: int = 8) -> list[Batch]:
        """Texts in order as padded int64 tensors."""
        return batches(self.loaded.tokenizer, texts, self.limit, size, self.task, self.loaded)

    @property
    def limit(self) -> int:
        """Most tokens of one text in a batch."""
        return min(self.loaded.max_length, LONGEST)

    def rows(self, model: nn.Module, batch: Batch) -> Tensor:
        """A model's output for one batch, ``(rows, features)``, without padding."""
        return self._rows(self.output(model, batch), batch)

    def answers(self) -> Answers:
        """The model as distillation asks it for its outputs by name."""
        return Answers(self)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Numbered texts as the batch that distillation takes."""
        encoded = _encoded(self.loaded.tokenizer, [row["text"] for row in rows], self.limit)
        batch = _padded(encoded, self.loaded)
        return {
            **batch,
            "counted": batch["attention_mask"].clone(),
            "weights": torch.ones(len(rows)),
            "row": torch.tensor([int(row["row"]) for row in rows]),
        }

    def output(self, model: nn.Module, batch: Batch, **more: Any) -> Any:
        """A model's whole output for a batch."""
        given = {name: tensor for name, tensor in batch.items() if name != "labels"}
        if self.task in _GENERATING:
            more["use_cache"] = False
        if self.task == SEQ2SEQ:
            more["labels"] = batch.get("labels", batch["input_ids"]).clamp_min(0)
        return model(**given, **more)

    def _rows(self, output: Any, batch: Batch) -> Tensor:
        made = self.answer(output, batch)
        if made.dim() == 3:  # one row a token
            real = batch["attention_mask"].bool()
            made = made[batch["labels"] >= 0 if self.task == SEQ2SEQ else real]
        return made.reshape(-1, made.shape[-1])

    def answer(self, output: Any, batch: Batch) -> Tensor:
        """What a model gave: one row a text, or one a token with padding."""
        if self.task in _GENERATING:
            return output.logits  # type: ignore[no-any-return]
        assert self.head is not None
        made: Tensor = self.head(output, batch["attention_mask"])
        return made

    def next_tokens(self, batch: Batch) -> Tensor | None:
        """The right answer of each row, -100 where there is none; None for a model without one."""
        if self.task == SEQ2SEQ:
            return batch["labels"][batch["labels"] >= 0]
        if self.task != CAUSAL:
            return None
        mask = batch["attention_mask"].bool()
        following = torch.full_like(batch["input_ids"], -100)
        following[:, :-1] = torch.where(mask[:, 1:], batch["input_ids"][:, 1:], -100)
        return following[mask]


class Answers:
    """Answers of a subject's model by the names of ``distill.outputs``, ``hidden.N`` among them."""

    def __init__(self, subject: Subject) -> None:
        """Bind a model; what it gives is ``logits`` where it chooses, ``embedding`` elsewhere.

        A model that gives a vector a token stands there with their mean, as it does as a teacher.
        """
        self.model: nn.Module = subject.model
        self.name = "logits" if subject.categorical else "embedding"
        self._subject = subject

    def __call__(self, inputs: Batch, names: Collection[str]) -> Outputs:
        """One forward pass."""
        batch = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        states = any(name.startswith("hidden.") for name in names)
        more = {"output_hidden_states": True} if states else {}
        output = self._subject.output(self.model, batch, **more)
        named = {
            name: output.hidden_states[int(name.partition(".")[2])]
            for name in names
            if name != self.name
        }
        if self.name in names:
            answer = self._subject.answer(output, batch)
            if self.name == "embedding" and answer.dim() == 3:
                answer = token_mean(answer, batch["attention_mask"])
            named[self.name] = answer
        return Outputs(batch["attention_mask"], named)


def subject(source: Source, task: str = "auto", max_length: int | None = None) -> Subject:
    """Load a model for a task.

    Raises:
        SpecError: the task cannot be told from the files, or there is no such task.
        InputMissing, InputRefused, Unsupported: as for ``load.load``.
    """
    config = check(source.folder).config
    settled = _task(source.folder, config) if task == "auto" else task
    if settled in _GENERATING:
        loaded = load(source, _GENERATING[settled], max_length=max_length)
        if settled == SEQ2SEQ and getattr(loaded.config, "decoder_start_token_id", None) is None:
            raise InputRefused(
                "config.json does not say which token a decoder starts with",
                hint="Set decoder_start_token_id; it is pad_token_id in T5.",
            )
        return Subject(loaded, settled, None, True)
    task_meaning(settled)
    module = head_module(settled)
    loaded = load(source, module.AUTO_CLASS, max_length=max_length, may_miss=module.MAY_MISS)
    vectors = settled in ("sentence-similarity", "feature-extraction")
    categorical = not vectors and getattr(loaded.config, "num_labels", 2) > 1
    return Subject(loaded, settled, module.head(source.folder), categorical)


def batches(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    limit: int,
    size: int,
    task: str,
    loaded: Loaded,
) -> list[Batch]:
    """Texts in order as padded int64 tensors of at most ``size`` rows."""
    return list(_batches(tokenizer, texts, limit, size, task, loaded))


def _batches(
    tokenizer: Tokenizer, texts: Sequence[str], limit: int, size: int, task: str, loaded: Loaded
) -> Iterator[Batch]:
    encoded = _encoded(tokenizer, texts, limit)
    encoded = [ids for ids in encoded if len(ids) > 1] or encoded
    for start in range(0, len(encoded), size):
        made = _padded(encoded[start : start + size], loaded)
        if task == SEQ2SEQ:
            made["labels"] = _copied(made)
        yield made


def _encoded(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> list[list[int]]:
    tokenizer.enable_truncation(limit)
    try:
        return [one.ids for one in tokenizer.encode_batch(list(texts))]
    finally:
        tokenizer.no_truncation()


def _padded(encoded: Sequence[Sequence[int]], loaded: Loaded) -> dict[str, Tensor]:
    pad = getattr(loaded.config, "pad_token_id", None)
    pad = pad if isinstance(pad, int) and pad >= 0 else 0
    part = [torch.tensor(ids) for ids in encoded]
    ids = nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(one) for one in part])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


def _copied(batch: Batch) -> Tensor:
    """The text itself, which a model with two stacks is to write."""
    return torch.where(batch["attention_mask"].bool(), batch["input_ids"], -100)


def loss(rows: Tensor, target: Tensor, categorical: bool) -> Tensor:
    """How far outputs are from the original's: KL divergence of logits, 1 - cosine of vectors.

    Vectors of another width are held against the original's by their cosines with each other.

    Args:
        rows: ``(rows, features)`` of the model that learns or is measured.
        target: the original's, for the same texts.
        categorical: rows are logits.

    Returns:
        The mean over rows.
    """
    if categorical:
        return F.kl_div(
            F.log_softmax(rows, -1),
            F.log_softmax(target, -1),
            reduction="batchmean",
            log_target=True,
        )
    if rows.shape[-1] != target.shape[-1]:
        return (_similarities(rows) - _similarities(target)).square().mean()
    return (1 - F.cosine_similarity(rows, target, dim=-1)).mean()


def _similarities(rows: Tensor) -> Tensor:
    """Cosine of every pair, ``(rows, rows)``: what vectors of different widths have in common."""
    unit = F.normalize(rows, dim=-1)
    return unit @ unit.T


def _task(folder: Path, config: dict[str, Any]) -> str:
    named = config.get("architectures")
    name = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return CAUSAL
    if name.endswith("ForConditionalGeneration") and config.get("is_encoder_decoder", True):
        return SEQ2SEQ
    return task_of(folder, config)
