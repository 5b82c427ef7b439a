"""GPT-J computes its attention in a method of its own, not through AttentionInterface."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from edgekit_converters.generation.attention import attention


def prepare(model: nn.Module) -> None:
    """Send the attention of every layer through the cache."""
    for module in model.modules():
        if hasattr(module, "_attn") and hasattr(module, "scale_attn"):
            method: Any = partial(_attend, module)
            module._attn = method


def restore(model: nn.Module) -> None:
    """Undo ``prepare``."""
    for module in model.modules():
        module.__dict__.pop("_attn", None)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: object = None
) -> tuple[Tensor, None]:
    factor = 1.0 / float(module.scale_attn)  # type: ignore[arg-type]
    mixed, _ = attention(module, query, key, value, None, scaling=factor)
    return mixed.transpose(1, 2), None
