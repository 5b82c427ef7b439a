"""Fill mask: the most likely tokens at each mask of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.errors import TextRefused
from edgekit.tasks import Context, Floats, Ids, Query, Run, probabilities

AGREEMENT = "same top-1 token"
TAKES: dict[str, bool] = {}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """Logits at the masks; at every fourth token when the text has none."""
    logits = output.reshape(-1, output.shape[-1])
    masks = np.flatnonzero(input_ids.reshape(-1) == context.mask_token_id)
    return logits[masks] if len(masks) else logits[1:-1:4]


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of texts whose top token is the same at every compared position."""
    pairs = zip(reference, other, strict=True)
    same = [bool((a.argmax(axis=1) == b.argmax(axis=1)).all()) for a, b in pairs]
    return float(np.mean(same))


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Best tokens with probabilities for each mask, in reading order.

    Raises:
        TextRefused: the text has no mask token.
    """
    (run,) = runs
    ids = run.ids.reshape(-1)
    places = np.flatnonzero(ids == context.mask_token_id)
    if not len(places):
        mask = "" if context.mask_token_id is None else context.tokens[context.mask_token_id]
        raise TextRefused(
            f"no mask token in {query.text!r}", hint=f"Put {mask} where a word should be filled in."
        )
    scores = probabilities(run.output.reshape(-1, run.output.shape[-1])[places])
    fills = []
    for row in scores:
        best = np.argsort(-row, kind="stable")[: context.top_k]
        fills.append([{"token": context.tokens[i], "score": float(row[i])} for i in best])
    return {"text": query.text, "masks": fills}
