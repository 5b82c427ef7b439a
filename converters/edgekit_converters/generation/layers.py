"""Who keeps the keys and values: nobody (to look around), buffers of the program, or its caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit.runtime.generation.executorch import load_operators
from edgekit_converters.generation import operators
from edgekit_converters.generation.attention import Query, Window, plain, window_of

# Large enough to vanish in a softmax, finite so that no difference of two becomes NaN.
_MASKED = -1e9


@dataclass(frozen=True)
class LayerShape:
    """Sizes of one layer's cache."""

    kv_heads: int
    head_dim: int

    @property
    def bytes_per_token(self) -> int:
        """Of float32 keys and values."""
        return 2 * 4 * self.kv_heads * self.head_dim


@dataclass
class Plan:
    """What one forward pass of a model taught about it.

    Attributes:
        shapes: by number of the layer.
        windows: of every mask that the model asks for, in the order of asking.
    """

    shapes: dict[int, LayerShape] = field(default_factory=dict)
    windows: list[int | None] = field(default_factory=list)


class Probe:
    """Looks around: attends without a past, in plain operators, and writes down what it sees."""

    def __init__(self, context: int) -> None:
        """A window as long as ``context`` counts as none."""
        self.plan = Plan()
        self._context = context

    def mask(self, mask_function: Any) -> object:
        """Ask the function what it masks."""
        size = window_of(mask_function, self._context)
        self.plan.windows.append(size)
        return None if size is None else Window(size)

    def attend(self, layer: int, asked: Query) -> Tensor:
        """Attend among the tokens given."""
        key, value = asked.key, asked.value
        if key.shape != value.shape:
            raise Unsupported(
                f"layer {layer} has keys of {key.shape[3]} features and values of "
                f"{value.shape[3]}: no attention kernel here takes both",
            )
        self.plan.shapes[layer] = LayerShape(key.shape[1], key.shape[3])
        places = torch.arange(asked.key.shape[2])
        seen = _seen(places, places, _within(asked.window, self._context))
        return plain(asked.query, key, value, seen, asked.scale, asked.softcap)


class KeyValues(nn.Module):
    """One layer's cache inside the program: float32 ``(1, context, kv_heads, dim)``."""

    key: Tensor
    value: Tensor

    def __init__(self, shape: LayerShape, context: int) -> None:
        """All zeros."""
        super().__init__()
        sizes = (1, context, shape.kv_heads, shape.head_dim)
        self.register_buffer("key", torch.zeros(sizes))
        self.register_buffer("value", torch.zeros(sizes))


class Buffers:
    """Caches as the program's own memory, written in place from a start position on."""

    def __init__(self, plan: Plan, caches: Sequence[KeyValues], positions: Tensor, start: int):
        """Serve one forward pass.

        Args:
            plan: from a ``Probe``.
            caches: one a layer, in the order of their numbers.
            positions: int64 ``(tokens,)``.
            start: the first of them; symbolic while the graph is traced.
        """
        self._windows = iter(plan.windows)
        self._caches = dict(zip(sorted(plan.shapes), caches, strict=True))
        self._context = caches[0].key.shape[1]
        self._positions, self._start = positions, start
        self._masks: dict[int, Tensor] = {}

    def mask(self, _mask_function: Any) -> object:
        """The next of the plan's."""
        size = next(self._windows)
        return None if size is None else Window(size)

    def attend(self, layer: int, asked: Query) -> Tensor:
        """Store and attend."""
        cache = self._store(layer, asked.key, asked.value)
        window = _within(asked.window, self._context)
        if asked.softcap is not None:
            seen = self._seen(window)
            keys, values = cache.key.transpose(1, 2), cache.value.transpose(1, 2)
            return plain(asked.query, keys, values, seen, asked.scale, asked.softcap)
        question = asked.query.transpose(1, 2)
        hidden = None
        if window is not None:
            if window not in self._masks:
                self._masks[window] = torch.where(self._seen(window), 0.0, _MASKED)
            hidden = self._masks[window]
        mixed: Tensor = torch.ops.llama.custom_sdpa(
            question, cache.key, cache.value, self._start, hidden, 0.0, hidden is None, asked.scale
        )
        return mixed

    def _store(self, layer: int, key: Tensor, value: Tensor) -> KeyValues:
        cache = self._caches[layer]
        load_operators()
        torch.ops.llama.update_cache(key.transpose(1, 2), cache.key, self._start)
        torch.ops.llama.update_cache(value.transpose(1, 2), cache.value, self._start)
        return cache

    def _seen(self, window: int | None) -> Tensor:
        return _seen(self._positions, torch.arange(self._context), window)


class Passed:
    """Caches that the caller hands in and takes back, one token longer for each token."""

    def __init__(self, plan: Plan, past: Sequence[Tensor], mask: Tensor, context: int) -> None:
        """Serve one forward pass.

        Args:
            plan: from a ``Probe``.
            past: keys and values of each layer in turn, ``(1, kv_heads, past, head_dim)``.
            mask: int64 ``(1, past + tokens)``: ones.
            context: the most tokens in all.
        """
        self._windows = iter(plan.windows)
        self._past = {n: past[2 * i : 2 * i + 2] for i, n in enumerate(sorted(plan.shapes))}
        self._present: dict[int, tuple[Tensor, Tensor]] = {}
        self._context = context
        self._last = (mask.sum(1, keepdim=True) - 1).to(torch.int32)
        self._total = mask.sum().to(torch.int32)

    @property
    def present(self) -> list[Tensor]:
        """Keys and values of each layer in turn, those of this pass included."""
        return [states for layer in sorted(self._present) for states in self._present[layer]]

    def mask(self, _mask_function: Any) -> object:
        """The next of the plan's."""
        size = next(self._windows)
        return None if size is None else Window(size)

    def attend(self, layer: int, asked: Query) -> Tensor:
        """Store and attend."""
        window = _within(asked.window, self._context)
        heads, head_dim = asked.query.shape[1], asked.query.shape[3]
        mixed, key, value = operators.grouped_attention(
            _joined(asked.query),
            _joined(asked.key),
            _joined(asked.value),
            *self._past[layer],
            self._last,
            self._total,
            asked.scale,
            window or -1,
            asked.softcap or 0.0,
        )
        self._present[layer] = (key, value)
        split: Tensor = mixed.view(1, -1, heads, head_dim)
        return split


def _joined(states: Tensor) -> Tensor:
    """``(1, heads, tokens, dim)`` to ``(1, tokens, heads * dim)``."""
    return states.transpose(1, 2).reshape(1, -1, states.shape[1] * states.shape[3])


def _within(window: int | None, context: int) -> int | None:
    """A window, if it is shorter than what there is to see."""
    return window if window is not None and window < context else None


def _seen(rows: Tensor, columns: Tensor, window: int | None) -> Tensor:
    """Which tokens at ``columns`` the queries at ``rows`` see."""
    back = rows[:, None] - columns[None, :]
    seen = back >= 0
    return seen if window is None else seen & (back < window)
