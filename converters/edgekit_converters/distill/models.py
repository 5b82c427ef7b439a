"""Which models can be taught, and what of them is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit_converters.detect import task_of
from edgekit_converters.distill.outputs import Probe
from edgekit_converters.folder import check
from edgekit_converters.load import Loaded, load
from edgekit_converters.source import Source
from edgekit_converters.tasks import head_module

Kind = Literal["embedding", "classes", "tokens"]
GENERATION = "text-generation"
MASKED = "fill-mask"
_AUTO = "auto"

_KINDS: dict[str, Kind] = {
    "sentence-similarity": "embedding",
    "feature-extraction": "embedding",
    "text-classification": "classes",
    "zero-shot-classification": "classes",
    "token-classification": "tokens",
    MASKED: "tokens",
    GENERATION: "tokens",
}


@dataclass(frozen=True)
class Taught:
    """A model as teacher or student.

    Attributes:
        loaded: the model, its tokenizer and what the folder says.
        task: a task's name.
        kind: what is compared in the end.
        pooling: makes a text's vector of the model's output; None where texts have none.
    """

    loaded: Loaded
    task: str
    kind: Kind
    pooling: nn.Module | None

    @property
    def model(self) -> nn.Module:
        """The transformers model."""
        return self.loaded.model

    def probe(self) -> Probe:
        """The model, ready to be asked for its outputs."""
        return Probe(self.loaded.model, self.pooling)

    def holding(self, model: nn.Module) -> Taught:
        """The same folder's settings with another model in it."""
        loaded = replace(self.loaded, model=model, config=model.config)
        return replace(self, loaded=loaded)


def opened(source: Source, task: str = _AUTO, max_length: int | None = None) -> Taught:
    """Load a folder as a teacher or a student.

    Raises:
        Unsupported: the task has no distillation here.
        SpecError, InputMissing, InputRefused: as for ``load.load``.
    """
    found = _task(source.folder) if task == _AUTO else task
    kind = kind_of(found)
    if found == GENERATION:
        loaded = load(source, "AutoModelForCausalLM", max_length=max_length)
        return Taught(loaded, found, kind, None)
    head = head_module(found)
    loaded = load(source, head.AUTO_CLASS, max_length=max_length, may_miss=head.MAY_MISS)
    pooling = pooling_of(found, source.folder)
    return Taught(loaded, found, kind, pooling)


def pooling_of(task: str, folder: Path) -> nn.Module | None:
    """What makes a text's vector; None for a task without one."""
    if task == "sentence-similarity":
        return head_module(task).head(folder)
    return _Mean() if task == "feature-extraction" else None


def kind_of(task: str) -> Kind:
    """What is compared for a task.

    Raises:
        Unsupported: there is no distillation for it.
    """
    if task not in _KINDS:
        raise Unsupported(
            f"a model for {task} cannot be distilled here",
            hint=f"Tasks: {', '.join(sorted(_KINDS))}; --task chooses one of them.",
        )
    return _KINDS[task]


def _task(folder: Path) -> str:
    config = check(folder).config
    names = config.get("architectures") or [""]
    if str(names[0]).endswith(("ForCausalLM", "LMHeadModel")):
        return GENERATION
    return task_of(folder, config)


def same_tokens(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether both cut every text into the same tokens."""
    return bool(_bare(one) == _bare(other))


def _bare(tokenizer: Tokenizer) -> str:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return str(copy.to_str())


class _Mean(nn.Module):
    """The mean over real tokens: what stands for a text where nothing says how to pool."""

    def forward(self, output: Any, mask: Tensor) -> Tensor:
        return token_mean(output.last_hidden_state, mask)


def token_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """The mean of each text's real tokens: ``(texts, tokens, width)`` to ``(texts, width)``."""
    weights = mask.to(vectors.dtype)[:, :, None]
    total: Tensor = (vectors * weights).sum(1)
    return total / weights.sum(1)


def fixed(model: nn.Module) -> nn.Module:
    """The model without gradients and dropout."""
    return model.eval().requires_grad_(False)


def parameters(model: nn.Module) -> int:
    """How many, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device
