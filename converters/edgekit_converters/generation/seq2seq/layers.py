"""Who attends: over the text, over nothing yet (to look around), and over caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit.errors import Unsupported
from edgekit_converters.generation.attention import window_of
from edgekit_converters.generation.layers import LayerShape
from edgekit_converters.generation.seq2seq.attention import Call
from edgekit_converters.generation.seq2seq.biases import Biases, by_distance, hidden
from edgekit_converters.generation.seq2seq.caches import CrossCache, SelfCache, joined
from edgekit_converters.graph.attention import attention as whole_attention


@dataclass
class Plan:
    """What one pass of encoder and decoder taught about them.

    Attributes:
        shapes: of the answer's cache, by number of the layer.
        cross: of the text's.
        biased: layers whose attention to the answer adds something to the scores.
        tables: what they add, see ``biases.Biases``.
        encoder_tables: what the encoder adds.
    """

    shapes: dict[int, LayerShape] = field(default_factory=dict)
    cross: dict[int, LayerShape] = field(default_factory=dict)
    biased: set[int] = field(default_factory=set)
    tables: list[Tensor | None] = field(default_factory=list)
    encoder_tables: list[Tensor | None] = field(default_factory=list)


class Encoding:
    """Every token of the text sees all the others."""

    def __init__(self, length: Any, tables: Sequence[Tensor | None] | None = None) -> None:
        """Serve one pass.

        Args:
            length: of the text; symbolic while a graph is traced.
            tables: of an earlier pass; None to make them.
        """
        self.tables: list[Tensor | None] = []
        self._known: list[Tensor] = []
        self._looks = tables is None
        places = torch.arange(length)
        self._biases = Biases(tables or (), places, places, causal=False)

    def attend(self, call: Call) -> Tensor:
        """Attend among the tokens given."""
        if call.bias is None:
            return whole(call, None)
        if self._looks and not any(known is call.bias for known in self._known):
            self._known.append(call.bias)
            self.tables.append(by_distance(call.bias, causal=False))
        return whole(call, self._biases(call.bias))

    def mask(self, mask_function: Any) -> None:
        """Nothing is masked; a model that asks for more is refused."""
        from transformers.masking_utils import bidirectional_mask_function

        if mask_function is not bidirectional_mask_function:
            raise Unsupported("the encoder hides some of the text from itself")


class Recording:
    """Runs a decoder only for the keys and values that it makes of the text."""

    def __init__(self) -> None:
        """With an empty cache."""
        self.cross = CrossCache()
        self.caches = joined(SelfCache(lambda _, key, value: (key, value), 0), self.cross, {})

    def attend(self, call: Call) -> Tensor:
        """Anything of the right shape: no key of the text depends on it."""
        return call.query.transpose(1, 2)

    def mask(self, mask_function: Any) -> None:
        """No scores, no mask."""


class Probe:
    """Looks around: decodes without a past, in plain operators, and writes down what it sees."""

    def __init__(self, cross: Mapping[int, tuple[Tensor, Tensor]], target: int) -> None:
        """Decode over ``cross``, keys and values by layer; ``target``: the longest answer."""
        self.plan = Plan(cross={layer: _shape(key) for layer, (key, _) in cross.items()})
        given = [cross[layer] for layer in sorted(cross)]
        known = dict.fromkeys(sorted(cross), True)
        self.caches = joined(SelfCache(self._store, 0), CrossCache(given), known)
        self._of_text = {id(key) for key, _ in given}
        self._known: list[Tensor] = []
        self._target = target
        self._layer = -1

    def mask(self, mask_function: Any) -> None:
        """The text is seen whole, the answer up to the token at hand; anything else is refused."""
        from transformers.masking_utils import bidirectional_mask_function

        if mask_function is bidirectional_mask_function:
            return
        if window_of(mask_function, self._target) is not None:
            raise Unsupported("the decoder sees a window of the answer, not all of it")

    def attend(self, call: Call) -> Tensor:
        """Attend, and see whether anything is added to the scores."""
        added = call.bias is not None and bool(call.bias.any())
        if id(call.key) in self._of_text:
            if added:
                raise Unsupported("the decoder adds a bias to its attention over the text")
            return whole(call, None)
        if self._layer in self.plan.shapes:
            raise Unsupported("a layer of the decoder attends twice to the answer")
        self.plan.shapes[self._layer] = _shape(call.key)
        places = torch.arange(call.query.shape[2])
        later = hidden(places, places)
        if not added:
            return whole(call, later)
        assert call.bias is not None
        self.plan.biased.add(self._layer)
        if not any(known is call.bias for known in self._known):
            self._known.append(call.bias)
            self.plan.tables.append(by_distance(call.bias, causal=True))
        return whole(call, call.bias + later)

    def _store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self._layer = layer
        return key, value


class Kept(Protocol):
    """Who keeps the answer's keys and values.

    Attributes:
        start: tokens before this pass.
    """

    start: Any

    def store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values; all of them as far as the model looks at them."""

    def over_answer(self, layer: int, call: Call) -> Tensor:
        """Attend to the answer so far."""

    def over_text(self, call: Call) -> Tensor:
        """Attend to the text."""


class Decoding:
    """One pass of a decoder over the text's keys and values."""

    def __init__(self, plan: Plan, cross: Sequence[Tensor], kept: Kept) -> None:
        """Serve the pass.

        Args:
            plan: from a ``Probe``.
            cross: keys and values of each layer in turn, ``(1, heads, source, head_dim)``.
            kept: the answer's cache.
        """
        pairs = list(zip(cross[0::2], cross[1::2], strict=True))
        known = dict.fromkeys(sorted(plan.cross), True)
        self.caches = joined(SelfCache(self._store, kept.start), CrossCache(pairs), known)
        self._kept = kept
        self._of_text = {id(key) for key, _ in pairs}
        self._layer = -1

    def mask(self, mask_function: Any) -> None:
        """The probe has looked at it."""

    def attend(self, call: Call) -> Tensor:
        """Over the text or over the answer, by whose keys they are."""
        if id(call.key) in self._of_text:
            return self._kept.over_text(call)
        return self._kept.over_answer(self._layer, call)

    def _store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self._layer = layer
        return self._kept.store(layer, key, value)


def whole(call: Call, bias: Tensor | None) -> Tensor:
    """Attention in the form that delegates take whole, with ``bias`` on the scores."""
    mixed, _ = whole_attention(
        nn.Identity(), call.query, call.key, call.value, None, call.scale, position_bias=bias
    )
    return mixed


def _shape(key: Tensor) -> LayerShape:
    return LayerShape(key.shape[1], key.shape[3])
