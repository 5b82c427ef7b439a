"""An encoder-decoder of two ``.onnx`` files, its caches handed in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime.generation.seq2seq_signature import PAST, PRESENT, encode_signature
from edgekit.runtime.onnx import library, load

ENCODER, DECODER = "encoder_model.onnx", "decoder_with_past_model.onnx"


class _Steps:
    def __init__(self, encode: Any, decode: Any, read: Signature, answer: Signature) -> None:
        self._encode, self._decode = encode, decode
        self.source = read.inputs[0].dims[1].maximum
        self.context = answer.inputs[0].dims[1].maximum
        self.vocabulary = answer.outputs[0].dims[-1].maximum
        self._shapes = {
            spec.name: (spec.dims[1].maximum, spec.dims[3].maximum)
            for spec in answer.inputs
            if spec.name.endswith((".decoder.key", ".decoder.value"))
        }
        self._kept = [spec.name for spec in read.outputs]
        self._text: dict[str, Any] = {}
        self._past: dict[str, Any] = {}

    def read(self, ids: Sequence[int]) -> None:
        """Read a text; see ``seq2seq.TextSteps``."""
        binding = self._encode.io_binding()
        binding.bind_cpu_input("input_ids", np.asarray(ids, dtype=np.int64)[None])
        found = self._run(self._encode, binding, self._kept, f"on a text of {len(ids)} tokens")
        self._text = {PAST + name.removeprefix(PRESENT): found[name] for name in self._kept}
        self._past = {
            name: _value(np.zeros((1, heads, 0, width), dtype=np.float32))
            for name, (heads, width) in self._shapes.items()
        }

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """Read tokens of the answer and say what follows; see ``loop.Steps``."""
        self._cut(position)
        binding = self._decode.io_binding()
        binding.bind_cpu_input("input_ids", np.asarray(ids, dtype=np.int64)[None])
        for name, states in (*self._past.items(), *self._text.items()):
            binding.bind_ortvalue_input(name, states)
        presents = {name: PRESENT + name.removeprefix(PAST) for name in self._past}
        where = f"at position {position} with {len(ids)} tokens"
        found = self._run(self._decode, binding, [*presents.values(), "logits"], where)
        self._past = {name: found[present] for name, present in presents.items()}
        logits: NDArray[np.float32] = found["logits"].numpy().reshape(-1, self.vocabulary)[-1]
        return logits

    def close(self) -> None:
        """Release the sessions and the caches."""
        self._encode = self._decode = None
        self._text, self._past = {}, {}

    def _run(self, session: Any, binding: Any, names: list[str], where: str) -> dict[str, Any]:
        for name in names:
            binding.bind_output(name)
        try:
            session.run_with_iobinding(binding)
        except Exception as error:
            raise InternalError(f"ONNX Runtime failed {where}: {error}") from error
        return dict(zip(names, binding.get_outputs(), strict=True))

    def _cut(self, length: int) -> None:
        """Forget what the answer's cache holds from ``length`` on."""
        for name, states in self._past.items():
            if states.shape()[2] > length:
                self._past[name] = _value(np.ascontiguousarray(states.numpy()[:, :, :length]))


def _value(array: NDArray[np.float32]) -> Any:
    return library().OrtValue.ortvalue_from_numpy(array)


def open_steps(path: Path, signature: Signature) -> _Steps:
    """Load an encoder-decoder.

    Args:
        path: the file that continues an answer; the one that reads a text lies beside it and is
            called ``encoder_model.onnx``.
        signature: of the first: ``input_ids``, the answer's cache and the text's to ``logits`` and
            ``present.N.decoder.key`` and ``.value``; the tokens' upper bound is the longest answer.

    Raises:
        ImportError: ONNX Runtime is not installed.
        InternalError: the runtime refused a file.
    """
    read = encode_signature(signature)
    return _Steps(load(path.with_name(ENCODER)), load(path), read, signature)
