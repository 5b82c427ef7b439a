"""Text generation: what follows a text, token by token.

Its answers come from a loop and not from one pass: see ``edgekit.runtime.generation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.errors import InternalError
from edgekit.tasks import Context, Floats, Ids, Query, Run

AGREEMENT = "same next token"
TAKES: dict[str, bool] = {}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """Logits, one row a token."""
    return output.reshape(-1, output.shape[-1])


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of tokens, over all texts, with the same first choice for the next one."""
    pairs = zip(reference, other, strict=True)
    return float(np.concatenate([a.argmax(axis=1) == b.argmax(axis=1) for a, b in pairs]).mean())


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Never asked: one pass is one token.

    Raises:
        InternalError: always.
    """
    raise InternalError("a decoder's answer takes many passes: use Bundle.generate")
