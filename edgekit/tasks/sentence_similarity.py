"""Sentence similarity: one vector for a text; near vectors mean near texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.tasks import Context, Floats, Ids, Query, Run

AGREEMENT = "same nearest neighbour"
TAKES: dict[str, bool] = {}


def rows(output: Floats, input_ids: Ids, context: Context) -> Floats:
    """The embedding, as one row."""
    return output.reshape(1, -1)


def agreement(reference: list[Floats], other: list[Floats]) -> float:
    """Share of texts whose nearest other text is the same; 1.0 when there are fewer than three."""
    if len(reference) < 3:
        return 1.0
    return float(np.mean(_nearest(reference) == _nearest(other)))


def answer(runs: Sequence[Run], query: Query, context: Context) -> dict[str, Any]:
    """The embedding as a list of floats."""
    (run,) = runs
    return {"text": query.text, "embedding": run.output.reshape(-1).tolist()}


def _nearest(vectors: list[Floats]) -> np.ndarray[Any, Any]:
    matrix = np.concatenate(vectors)
    matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    similarity = matrix @ matrix.T
    np.fill_diagonal(similarity, -np.inf)
    return np.asarray(similarity.argmax(axis=1))
