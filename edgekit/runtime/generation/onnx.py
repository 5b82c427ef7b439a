"""An ``.onnx`` decoder, its cache handed in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime.onnx import library, load

# In the file's metadata: the attention operator can write into the cache that it reads.
IN_PLACE = "edgekit.cache_in_place"

_PAST, _PRESENT = "past_key_values.", "present."


class _Steps:
    def __init__(self, session: Any, signature: Signature) -> None:
        self._session = session
        self.context = signature.inputs[0].dims[1].maximum
        self.vocabulary = signature.outputs[0].dims[-1].maximum
        self._names = [
            spec.name.removeprefix(_PAST)
            for spec in signature.inputs
            if spec.name.startswith(_PAST)
        ]
        self._shapes = {
            spec.name.removeprefix(_PAST): (spec.dims[1].maximum, spec.dims[3].maximum)
            for spec in signature.inputs
            if spec.name.startswith(_PAST)
        }
        self._in_place = IN_PLACE in session.get_modelmeta().custom_metadata_map
        self._caches = {name: self._cache(name) for name in self._names}
        # Caches that stay where they are need to be named once, not for every token.
        self._kept = self._bound() if self._in_place else None

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """Read tokens and say what follows; see ``loop.Steps``."""
        total = position + len(ids)
        given = {
            "input_ids": np.asarray(ids, dtype=np.int64)[None],
            "attention_mask": np.ones((1, total), dtype=np.int64),
            "position_ids": np.arange(position, total, dtype=np.int64)[None],
        }
        if not self._in_place:
            self._cut(position)
        binding = self._kept or self._bound()
        for name, value in given.items():
            binding.bind_cpu_input(name, value)
        binding.bind_output("logits")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise InternalError(
                f"ONNX Runtime failed at position {position} with {len(ids)} tokens: {error}"
            ) from error
        *caches, logits = binding.get_outputs()
        if not self._in_place:
            self._caches = dict(zip(self._names, caches, strict=True))
        row: NDArray[np.float32] = logits.numpy().reshape(-1, self.vocabulary)[-1]
        return row

    def close(self) -> None:
        """Release the session and the caches."""
        self._session, self._caches, self._kept = None, {}, None

    def _bound(self) -> Any:
        binding = self._session.io_binding()
        for name in self._names:
            cache = self._caches[name]
            binding.bind_ortvalue_input(_PAST + name, cache)
            if self._in_place:
                binding.bind_ortvalue_output(_PRESENT + name, cache)
            else:
                binding.bind_output(_PRESENT + name)
        return binding

    def _cache(self, name: str) -> Any:
        heads, width = self._shapes[name]
        length = self.context if self._in_place else 0
        empty = np.zeros((1, heads, length, width), dtype=np.float32)
        return library().OrtValue.ortvalue_from_numpy(empty)

    def _cut(self, length: int) -> None:
        """Forget what caches hold from ``length`` on."""
        for name, cache in self._caches.items():
            if cache.shape()[2] > length:
                kept = np.ascontiguousarray(cache.numpy()[:, :, :length])
                self._caches[name] = library().OrtValue.ortvalue_from_numpy(kept)


def open_steps(path: Path, signature: Signature, *, threads: int = 0) -> _Steps:
    """Load a decoder.

    Args:
        path: the ``.onnx``.
        signature: its inputs and outputs; the tokens' upper bound is the context.
        threads: of one call; 0 leaves the number to the runtime.

    Raises:
        ImportError: ONNX Runtime is not installed.
        InternalError: the runtime refused the model.
    """
    return _Steps(load(path, threads=threads), signature)
