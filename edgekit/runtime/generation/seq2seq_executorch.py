"""A ``.pte`` encoder-decoder: methods ``encode`` and ``decode``, the answer's cache inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime import Floats, Session
from edgekit.runtime.executorch import open_session
from edgekit.runtime.generation.executorch import load_operators
from edgekit.runtime.generation.seq2seq_signature import PAST, PRESENT, encode_signature


class _Steps:
    def __init__(
        self, encode: Session, decode: Session, read: Signature, answer: Signature
    ) -> None:
        self._encode, self._decode = encode, decode
        self.source = read.inputs[0].dims[1].maximum
        self.context = answer.inputs[0].dims[1].maximum
        self.vocabulary = answer.outputs[0].dims[-1].maximum
        self._text: dict[str, Floats] = {}

    def read(self, ids: Sequence[int]) -> None:
        """Read a text; see ``seq2seq.TextSteps``."""
        row = np.asarray(ids, dtype=np.int64)[None]
        try:
            found = self._encode.run({"input_ids": row})
        except RuntimeError as error:
            raise InternalError(
                f"ExecuTorch failed on a text of {len(ids)} tokens: {error}"
            ) from error
        self._text = {PAST + name.removeprefix(PRESENT): states for name, states in found.items()}

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """Read tokens of the answer and say what follows; see ``loop.Steps``."""
        row = np.asarray(ids, dtype=np.int64)[None]
        given = {"input_ids": row, "position": np.array([position], dtype=np.int64)}
        try:
            logits: NDArray[np.float32] = self._decode.run({**given, **self._text})["logits"][0]
        except RuntimeError as error:
            raise InternalError(
                f"ExecuTorch failed at position {position} with {len(ids)} tokens: {error}"
            ) from error
        return logits

    def close(self) -> None:
        """Release both methods and their program."""
        self._encode.close()
        self._decode.close()
        self._text = {}


def open_steps(path: Path, signature: Signature) -> _Steps:
    """Load an encoder-decoder.

    Args:
        path: the ``.pte``.
        signature: of ``decode``: ``input_ids``, ``position`` and what ``encode`` gives, as
            ``past_key_values``, to ``logits``; the tokens' upper bound is the longest answer.

    Raises:
        ImportError: there is nothing to run it with.
        InternalError: the runtime refused the program.
    """
    read = encode_signature(signature)
    # Loaded twice: the methods of one program share their memory here, and the second would find
    # the first one's numbers in its cache.
    encode = open_session(path, read, "encode", load_operators)
    decode = open_session(path, signature, "decode", load_operators)
    return _Steps(encode, decode, read, signature)
