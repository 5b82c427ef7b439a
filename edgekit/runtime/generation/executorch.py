"""A ``.pte`` decoder, its cache inside the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Signature
from edgekit.errors import InternalError
from edgekit.runtime import Session, executorch
from edgekit.runtime.silence import native_silence


class _Steps:
    def __init__(self, session: Session, context: int, vocabulary: int) -> None:
        self._session = session
        self.context, self.vocabulary = context, vocabulary

    def feed(self, ids: Sequence[int], position: int) -> NDArray[np.float32]:
        """Read tokens and say what follows; see ``loop.Steps``."""
        row = np.asarray(ids, dtype=np.int64)[None]
        given = {"input_ids": row, "position": np.array([position], dtype=np.int64)}
        try:
            logits: NDArray[np.float32] = self._session.run(given)["logits"][0]
        except RuntimeError as error:
            raise InternalError(
                f"ExecuTorch failed at position {position} with {len(ids)} tokens: {error}"
            ) from error
        return logits

    def close(self) -> None:
        """Release the program."""
        self._session.close()


@cache
def load_operators() -> None:
    """Register ExecuTorch's attention operators, llama::custom_sdpa and llama::update_cache.

    For torch, which traces programs with them, and for ExecuTorch's Python extension.

    Their library multiplies through MKL's threads, which fight ExecuTorch's own for the processors:
    with one MKL thread, decoding was 2 to 5 times as fast on two cores. That must be said before
    torch starts its own threads.

    Raises:
        ImportError: ExecuTorch is not installed.
    """
    os.environ.setdefault("MKL_NUM_THREADS", "1")
    # On a PC their library complains that no phone's files are there.
    with native_silence(2):
        from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401


def open_steps(path: Path, signature: Signature) -> _Steps:
    """Load a decoder.

    Args:
        path: the ``.pte``.
        signature: ``input_ids`` and ``position`` to ``logits``; the tokens' upper bound is the
            context.

    Raises:
        ImportError: there is nothing to run it with.
        InternalError: the runtime refused the program.
    """
    session = executorch.open_session(path, signature, operators=load_operators)
    return _Steps(
        session, signature.inputs[0].dims[1].maximum, signature.outputs[0].dims[-1].maximum
    )
