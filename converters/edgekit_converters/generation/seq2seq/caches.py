"""What an encoder-decoder of transformers takes for its caches, kept by somebody else.

Models with cross-attention ask an ``EncoderDecoderCache`` three things: how many tokens of the
answer there were, to take keys and values of new ones, and for keys and values of the text that was
read. These answer them from the program's memory, from its inputs, or write down what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from transformers import Cache, EncoderDecoderCache

Store = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


class SelfCache(Cache):  # type: ignore[misc]
    """The answer's keys and values: ``store`` takes new ones and gives back all of them."""

    def __init__(self, store: Store, start: Any) -> None:
        """Serve one forward pass.

        Args:
            store: called with a layer's number, keys and values ``(1, heads, tokens, head_dim)``.
            start: tokens before this pass; symbolic while a graph is traced.
        """
        super().__init__(layers=[])
        self._store, self._start = store, start

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values."""
        return self._store(layer_idx, key_states, value_states)

    def get_seq_length(self, layer_idx: int = 0) -> Any:
        """Tokens before this pass."""
        return self._start

    def get_query_offset(self, layer_idx: int = 0) -> Any:
        """Position of this pass's first token."""
        return self._start

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[Any, int]:
        """How many keys there are to mask, and where they begin."""
        return self._start + query_length, 0


class CrossCache(Cache):  # type: ignore[misc]
    """The text's keys and values: given, or written down when the model makes them."""

    def __init__(self, given: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        """Hold ``given`` by layer; nothing for a cache that records."""
        super().__init__(layers=[])
        self.layers = [SimpleNamespace(keys=key, values=value) for key, value in given]
        self.recorded: dict[int, tuple[Tensor, Tensor]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write down what the model made of the encoder's states."""
        self.recorded[layer_idx] = (key_states, value_states)
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Nothing: no position is counted over the text here."""
        return 0


def joined(own: SelfCache, cross: CrossCache, known: Mapping[int, bool]) -> Any:
    """Both as the model wants them.

    Args:
        own: the answer's.
        cross: the text's.
        known: by layer, whether ``cross`` has its keys and values already.
    """
    # Its constructor asks each layer of the second for a length, which ours do not keep.
    both = EncoderDecoderCache(own, CrossCache())
    both.cross_attention_cache = cross
    both.is_updated = dict(known)
    return both
