"""GPT-Neo: unscaled attention in a method of its own, over a window in its ``local`` layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from edgekit_converters.generation.attention import Window, attention


def prepare(model: nn.Module) -> None:
    """Send the attention of every layer through the cache."""
    for layer in model.modules():
        inner: Any = getattr(layer, "attention", None)
        if not hasattr(inner, "_attn") or not hasattr(layer, "attention_type"):
            continue
        config: Any = getattr(inner, "config", None) or model.config
        window = Window(int(config.window_size)) if layer.attention_type == "local" else None
        method: Any = partial(_attend, inner, window)
        inner._attn = method


def restore(model: nn.Module) -> None:
    """Undo ``prepare``."""
    for module in model.modules():
        module.__dict__.pop("_attn", None)


def _attend(
    module: nn.Module,
    window: Window | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: object = None,
) -> tuple[Tensor, None]:
    mixed, _ = attention(
        module,
        query,
        key,
        value,
        window,
        scaling=1.0,
        layer=int(module.layer_id),  # type: ignore[arg-type]
    )
    return mixed.transpose(1, 2), None
