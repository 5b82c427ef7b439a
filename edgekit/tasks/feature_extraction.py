"""Feature extraction: one vector for every token of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.tasks import Context, Floats, Ids, Query, Run

AGREEMENT = "same nearest token"
TAKES: dict[str, bool] = {}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """All token vectors, ``(tokens, hidden)``."""
    return output.reshape(-1, output.shape[-1])


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of texts in which every token's vector is nearest to its own reference vector."""
    same = [_own_nearest(a, b) for a, b in zip(reference, other, strict=True)]
    return float(np.mean(same))


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """Token texts beside their vectors."""
    (run,) = runs
    tokens = [context.tokens[int(i)] for i in run.ids.reshape(-1)]
    features = rows(run.output, run.ids, context).tolist()
    return {"text": query.text, "tokens": tokens, "features": features}


def _own_nearest(reference: Floats, other: Floats) -> bool:
    a = reference / np.maximum(np.linalg.norm(reference, axis=1, keepdims=True), 1e-12)
    b = other / np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-12)
    similarity = b @ a.T
    best = similarity.max(axis=1)
    # Equal tokens at far positions can tie; a tie with one's own row is agreement.
    return bool((similarity.diagonal() >= best - 1e-6).all())
