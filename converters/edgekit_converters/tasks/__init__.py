"""Heads: how a task's model becomes one tensor-to-tensor graph. One task a file, named as in
``edgekit.tasks``, which has the other half: what the output means.

Each module gives ``AUTO_CLASS`` (transformers' auto class), ``OUTPUT`` (the output's name),
``MAY_MISS`` (parameters that the task does not use), ``PAIR`` (whether a second text can come),
``LABELS`` (whether the model has names for its outputs) and ``head(folder)``; besides
``sample_text(text, mask_token)`` where a plain sentence is not yet an input of the task, and
``adapt(model)`` where the model does not take ``(1, tokens)``, ``check_labels(labels)`` where
not every model with such a head will do, ``SCHEME`` where int8 is not the default, and ``BUILD``, a
module here whose ``build`` makes the bundle, where one pass through one graph is no answer.
"""

from __future__ import annotations

import importlib
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgekit.tasks import SEPARATOR
from edgekit.tasks import task as task_meaning


class HeadModule(Protocol):
    """The interface of a module in this package."""

    AUTO_CLASS: str
    OUTPUT: str
    MAY_MISS: tuple[str, ...]
    PAIR: bool
    LABELS: bool

    def head(self, folder: Path) -> nn.Module: ...  # noqa: D102


class Wrapped(nn.Module):
    """A model and a head behind a positional signature, as torch.export wants it."""

    def __init__(self, model: nn.Module, head: nn.Module, names: tuple[str, ...], types: bool):
        """Bind input names.

        Args:
            model: a transformers model.
            head: takes the model's output and the padding mask or None; returns the one tensor.
            names: input names, in call order.
            types: the model has token types; zeros are passed when they are not an input, because
                a model left to make its own adds operators.
        """
        super().__init__()
        self.model = model
        self.head = head
        self._names = names
        self._types = types

    def forward(
        self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None
    ) -> Tensor:
        """One forward pass over int64 tensors ``(1, tokens)``."""
        given = [tensor for tensor in (first, second, third) if tensor is not None]
        named = dict(zip(self._names, given, strict=True))
        if self._types and "token_type_ids" not in named:
            named["token_type_ids"] = torch.zeros_like(first)
        result: Tensor = self.head(self.model(**named), named.get("attention_mask"))
        return result


def head_module(name: str) -> HeadModule:
    """The module of a task.

    Raises:
        SpecError: no task of that name.
    """
    task_meaning(name)
    return cast(HeadModule, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def has_token_types(config: Any) -> bool:
    """Whether the architecture has an embedding for the token's type."""
    return int(getattr(config, "type_vocab_size", 0) or 0) > 0


def input_names(name: str, model: nn.Module, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Token ids; and token types where the tokenizer gives several and the model tells them apart.

    Elsewhere they are zeros, which the graph need not be given.

    Args:
        name: the task.
        model: a transformers model.
        tokenizer: without truncation and padding.
    """
    pair = head_module(name).PAIR
    given = tokenizer.encode("a", "a") if pair else tokenizer.encode("a")
    # Architectures without a table of types compare them by pairs: two are always told apart.
    known = int(getattr(model.config, "type_vocab_size", 2) or 0)
    taken = "token_type_ids" in signature(model.forward).parameters
    if any(given.type_ids) and taken and known > 1:
        return ("input_ids", "token_type_ids")
    return ("input_ids",)


def adapted(name: str, model: nn.Module) -> nn.Module:
    """The model behind inputs of ``(1, tokens)``."""
    adapt = getattr(head_module(name), "adapt", None)
    return model if adapt is None else cast(nn.Module, adapt(model))


def sample_text(name: str, text: str, mask_token: str | None) -> str:
    """A plain sentence as an input of the task: a line for ``edgekit.tasks.halves``."""
    if head_module(name).PAIR and SEPARATOR in text:
        return text
    prepare = getattr(head_module(name), "sample_text", None)
    return text if prepare is None else str(prepare(text, mask_token))


def check_labels(name: str, labels: tuple[str, ...]) -> None:
    """Let the task refuse a model whose outputs do not mean what it needs."""
    check = getattr(head_module(name), "check_labels", None)
    if check is not None:
        check(labels)


class Logits(nn.Module):
    """Takes a transformers output's logits."""

    def forward(self, output: Any, mask: Tensor | None) -> Tensor:
        """The logits as they are."""
        logits: Tensor = output.logits
        return logits
