"""What a model adds to its scores for how far two tokens are apart, as a table of distances.

T5 and its kin sort distances into buckets and look a number up for each bucket and head (Raffel et
al. 2020, section 2.1). Computed in the graph that is some thirty small operators, none of which a
delegate takes. It is the same for every pair of tokens that are as far apart, which is checked for
all of them; then one lookup does, and it can hide later tokens as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Large enough to vanish in a softmax, finite so that no difference of two becomes NaN.
MASKED = -1e30


def by_distance(bias: Tensor, causal: bool) -> Tensor | None:
    """The table of a bias; None when it is more than a function of the distance.

    Args:
        bias: ``(1, heads, length, length)``.
        causal: whether later tokens are hidden.

    Returns:
        ``(heads, 1 + length)`` for a causal one, the first entry for what is hidden, else
        ``(heads, 2 * length - 1)``.
    """
    length = bias.shape[2]
    # Rows for how far back a key is, from the furthest ahead to the furthest behind.
    ahead, behind = bias[0, :, 0, 1:].flip(1), bias[0, :, :, 0]
    table = torch.cat([ahead, behind], dim=1)
    places = torch.arange(length)
    back = places[:, None] - places[None, :]
    same = table[:, back + length - 1] == bias[0]
    if causal:
        same = same | (back < 0)
        table = torch.cat([torch.full_like(behind[:, :1], MASKED), behind], dim=1)
    return table.clone() if bool(same.all()) else None


class Biases:
    """What is added to the scores of one pass, looked up where there is a table."""

    def __init__(
        self, tables: Sequence[Tensor | None], rows: Tensor, columns: Tensor, causal: bool
    ) -> None:
        """Serve one pass.

        Args:
            tables: one for each bias that the model makes, in that order; None for its own.
            rows: positions of the queries.
            columns: positions of the keys.
            causal: whether later tokens are hidden.
        """
        self._tables, self._causal = tables, causal
        self._rows, self._columns = rows, columns
        # The model's own are kept, so that no two have one identity.
        self._made: list[tuple[Tensor, Tensor]] = []

    def __call__(self, bias: Tensor) -> Tensor:
        """What stands for the model's own ``bias``."""
        for own, found in self._made:
            if own is bias:
                return found
        number = len(self._made)
        table = self._tables[number] if number < len(self._tables) else None
        found = self._own(bias) if table is None else self._looked_up(table)
        self._made.append((bias, found))
        return found

    def _own(self, bias: Tensor) -> Tensor:
        return bias + hidden(self._rows, self._columns) if self._causal else bias

    def _looked_up(self, table: Tensor) -> Tensor:
        back = self._rows[:, None] - self._columns[None, :]
        # What is hidden comes first; otherwise distance 0 is in the middle.
        offset = 1 if self._causal else (table.shape[1] - 1) // 2
        places = torch.clamp(back + offset, min=0)
        return table[:, places][None]


def hidden(rows: Tensor, columns: Tensor) -> Tensor:
    """Added to the scores, hides from queries at ``rows`` every later token."""
    return torch.where(columns[None, :] <= rows[:, None], 0.0, MASKED)[None, None]
