"""How an overall amount is spread over the weights of a model."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

NAMES = ("uniform", "global", "sensitivity")
# No layer loses everything, however little its weights seem to matter.
_MOST = 0.99


def uniform(scores: Mapping[str, Tensor], amount: float) -> dict[str, float]:
    """The same share of every weight."""
    return dict.fromkeys(scores, amount)


def ranked(scores: Mapping[str, Tensor], amount: float) -> dict[str, float]:
    """One threshold for all weights: the share of each that lies below it."""
    every = torch.cat([score.flatten().double() for score in scores.values()])
    count = round(amount * every.numel())
    gone = torch.zeros(every.numel(), dtype=torch.bool)
    gone[every.argsort(stable=True)[:count]] = True
    found, start = {}, 0
    for name, score in scores.items():
        share = float(gone[start : start + score.numel()].double().mean())
        found[name] = min(share, _MOST)
        start += score.numel()
    return found


def sensitive(
    sizes: Mapping[str, int],
    amount: float,
    losses: Mapping[str, Sequence[float]],
    steps: Sequence[float],
) -> dict[str, float]:
    """Shares that cost least quality by measured losses, added up over weights.

    Goes up from nothing, each time by the step that loses least for each element removed, which is
    best where losses are convex.

    Args:
        sizes: elements of each weight.
        amount: share of all elements to remove.
        losses: what each weight's removal by each of ``steps`` cost, alone.
        steps: ascending shares.
    """
    wanted = amount * sum(sizes.values())
    place = dict.fromkeys(sizes, -1)

    def price(name: str, step: int) -> float:
        before = losses[name][step - 1] if step else 0.0
        share = steps[step] - (steps[step - 1] if step else 0.0)
        return max(losses[name][step] - before, 0.0) / (share * sizes[name])

    queue = [(price(name, 0), name) for name in sizes]
    heapq.heapify(queue)
    removed = 0.0
    while queue and removed < wanted:
        _, name = heapq.heappop(queue)
        step = place[name] + 1
        removed += (steps[step] - (steps[step - 1] if step else 0.0)) * sizes[name]
        place[name] = step
        if step + 1 < len(steps):
            heapq.heappush(queue, (price(name, step + 1), name))
    found = {name: steps[step] if step >= 0 else 0.0 for name, step in place.items()}
    return _adjusted(found, sizes, wanted)


def _adjusted(
    shares: dict[str, float], sizes: Mapping[str, int], wanted: float
) -> dict[str, float]:
    """The shares scaled so that exactly the wanted number goes."""
    total = sum(shares[name] * sizes[name] for name in sizes)
    factor = wanted / total if total else 1.0
    return {name: min(share * factor, _MOST) for name, share in shares.items()}


Allocate = Callable[[Mapping[str, Tensor]], dict[str, float]]
