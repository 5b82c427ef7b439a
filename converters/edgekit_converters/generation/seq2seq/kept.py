"""Who keeps the answer's keys and values: buffers of the program, or its caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgekit.runtime.generation.executorch import load_operators
from edgekit_converters.generation.layers import KeyValues
from edgekit_converters.generation.operators import grouped_attention
from edgekit_converters.generation.seq2seq.attention import Call
from edgekit_converters.generation.seq2seq.biases import Biases
from edgekit_converters.generation.seq2seq.layers import Plan, whole
from edgekit_converters.generation.seq2seq.operators import biased_attention, cross_attention

Tables = Sequence[Tensor | None]


class Buffers:
    """Caches as the program's own memory, written in place from a start position on."""

    def __init__(
        self, plan: Plan, caches: Sequence[KeyValues], start: Any, tokens: Any, tables: Tables
    ) -> None:
        """Serve one forward pass.

        Args:
            plan: from a ``Probe``.
            caches: one a layer, in the order of their numbers.
            start: position of the first token; symbolic while the graph is traced.
            tokens: of this pass.
            tables: of the plan, as the program's own tensors.
        """
        self.start, self._total = start, start + tokens
        self._caches = dict(zip(sorted(plan.shapes), caches, strict=True))
        self._biased = plan.biased
        rows, columns = torch.arange(tokens) + start, torch.arange(self._total)
        self._biases = Biases(tables, rows, columns, causal=True)

    def store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write in place; what is valid of the cache."""
        load_operators()
        cache = self._caches[layer]
        torch.ops.llama.update_cache(key.transpose(1, 2), cache.key, self.start)
        torch.ops.llama.update_cache(value.transpose(1, 2), cache.value, self.start)
        keys, values = (
            states[:, : self._total].transpose(1, 2) for states in (cache.key, cache.value)
        )
        return keys, values

    def over_answer(self, layer: int, call: Call) -> Tensor:
        """ExecuTorch's own operator, or plain ones where something is added to the scores."""
        if layer in self._biased:
            assert call.bias is not None
            return whole(call, self._biases(call.bias))
        cache = self._caches[layer]
        mixed: Tensor = torch.ops.llama.custom_sdpa(
            call.query.transpose(1, 2),
            cache.key,
            cache.value,
            self.start,
            None,
            0.0,
            True,
            call.scale,
        )
        return mixed

    def over_text(self, call: Call) -> Tensor:
        """Plain operators, which are delegated whole."""
        return whole(call, None)


class Passed:
    """Caches that the caller hands in and takes back, one token longer for each token."""

    def __init__(self, plan: Plan, past: Sequence[Tensor], tokens: Any, tables: Tables) -> None:
        """Serve one forward pass.

        Args:
            plan: from a ``Probe``.
            past: keys and values of each layer in turn, ``(1, heads, past, head_dim)``.
            tokens: of this pass.
            tables: of the plan, as the program's own tensors.
        """
        self.start = past[0].shape[2]
        self._past = {n: past[2 * i : 2 * i + 2] for i, n in enumerate(sorted(plan.shapes))}
        self._new: dict[int, tuple[Tensor, Tensor]] = {}
        self._present: dict[int, tuple[Tensor, Tensor]] = {}
        self._biased = plan.biased
        total = self.start + tokens
        self._total = torch.full((), total, dtype=torch.int32)
        self._last = torch.full((1, 1), total - 1, dtype=torch.int32)
        rows = torch.arange(tokens) + self.start
        self._biases = Biases(tables, rows, torch.arange(total), causal=True)

    @property
    def present(self) -> list[Tensor]:
        """Keys and values of each layer in turn, those of this pass included."""
        return [states for layer in sorted(self._present) for states in self._present[layer]]

    def store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the new ones for the operator that appends them."""
        self._new[layer] = (key, value)
        past_key, past_value = self._past[layer]
        # Read for its length alone.
        return torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)

    def over_answer(self, layer: int, call: Call) -> Tensor:
        """Append and attend in one operator."""
        key, value = self._new[layer]
        states = (_flat(call.query), _flat(key), _flat(value))
        places = (*self._past[layer], self._last, self._total)
        if layer in self._biased:
            assert call.bias is not None
            mixed, *present = biased_attention(
                *states, *places, self._biases(call.bias), call.scale
            )
        else:
            mixed, *present = grouped_attention(*states, *places, call.scale, -1, 0.0)
        self._present[layer] = (present[0], present[1])
        return _split(mixed, call)

    def over_text(self, call: Call) -> Tensor:
        """One operator over keys and values as they were handed in."""
        return _split(cross_attention(_flat(call.query), call.key, call.value, call.scale), call)


def _flat(states: Tensor) -> Tensor:
    """``(1, heads, tokens, dim)`` to ``(1, tokens, heads * dim)``."""
    return states.transpose(1, 2).reshape(1, -1, states.shape[1] * states.shape[3])


def _split(mixed: Tensor, call: Call) -> Tensor:
    return mixed.view(1, -1, call.query.shape[1], call.query.shape[3])
