"""The model that is pruned, its texts as batches, and its outputs as rows that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.errors import InputRefused
from edgekit.tasks import task as task_meaning
from edgekit_converters.detect import task_of
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

    def batches(self, texts: Sequence[str], size: int = 8) -> list[Batch]:
        """Texts in order as padded int64 tensors."""
        return batches(self.loaded.tokenizer, texts, self.limit, size, self.task, self.loaded)

    @property
    def limit(self) -> int:
        """Most tokens of one text in a batch."""
        return min(self.loaded.max_length, LONGEST)

    def rows(self, model: nn.Module, batch: Batch) -> Tensor:
        """A model's output for one batch, ``(rows, features)``, without padding."""
        return self._rows(self._output(model, batch), batch)

    def rows_and_states(self, model: nn.Module, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """``rows``, and what each layer gives the next, ``(tokens, width)`` without padding.

        The first state is the embedding layer's. A model with two stacks has none.
        """
        output = self._output(model, batch, output_hidden_states=self.task != SEQ2SEQ)
        real = batch["attention_mask"].bool()
        states = getattr(output, "hidden_states", None) or ()
        return self._rows(output, batch), tuple(state[real] for state in states)

    def _output(self, model: nn.Module, batch: Batch, **more: Any) -> Any:
        given = {name: tensor for name, tensor in batch.items() if name != "labels"}
        if self.task in _GENERATING:
            more["use_cache"] = False
        if self.task == SEQ2SEQ:
            more["labels"] = batch["labels"].clamp_min(0)
        return model(**given, **more)

    def _rows(self, output: Any, batch: Batch) -> Tensor:
        real = batch["attention_mask"].bool()
        if self.task in _GENERATING:
            counted = batch["labels"] >= 0 if self.task == SEQ2SEQ else real
            return output.logits[counted]  # type: ignore[no-any-return]
        assert self.head is not None
        made: Tensor = self.head(output, batch["attention_mask"])
        if made.dim() == 3:  # one row a token
            made = made[real]
        return made.reshape(-1, made.shape[-1])

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
    tokenizer.enable_truncation(limit)
    try:
        encoded = [one.ids for one in tokenizer.encode_batch(list(texts))]
    finally:
        tokenizer.no_truncation()
    encoded = [ids for ids in encoded if len(ids) > 1] or encoded
    pad = getattr(loaded.config, "pad_token_id", None)
    pad = pad if isinstance(pad, int) and pad >= 0 else 0
    for start in range(0, len(encoded), size):
        part = [torch.tensor(ids) for ids in encoded[start : start + size]]
        ids = nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=pad)
        lengths = torch.tensor([len(one) for one in part])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        made = {"input_ids": ids, "attention_mask": mask}
        if task == SEQ2SEQ:
            made["labels"] = torch.where(mask.bool(), ids, -100)
        yield made


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
