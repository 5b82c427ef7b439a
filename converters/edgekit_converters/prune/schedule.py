"""Schedules: all at once, or in rounds with training between them."""

from __future__ import annotations

from edgekit.errors import SpecError

NAMES = ("one-shot", "iterative", "cubic")
ROUNDS = 5


def amounts(schedule: str, amount: float, rounds: int = ROUNDS) -> list[float]:
    """The share that is gone after each round; the last is ``amount``.

    ``iterative`` removes the same share of what is left each time (Han et al. 2015); ``cubic`` is
    fast at first and slow at the end, ``a (1 - (1 - t)^3)`` (Zhu and Gupta, 1710.01878).

    Raises:
        SpecError: no such schedule, or no round.
    """
    if schedule not in NAMES:
        raise SpecError(f"unknown schedule {schedule!r}", hint=f"One of: {', '.join(NAMES)}.")
    if rounds < 1:
        raise SpecError(f"{rounds} rounds prune nothing", hint=f"Try {ROUNDS}.")
    if schedule == "one-shot":
        return [amount]
    parts = [(place + 1) / rounds for place in range(rounds)]
    if schedule == "cubic":
        found = [amount * (1 - (1 - part) ** 3) for part in parts]
    else:
        found = [1 - (1 - amount) ** part for part in parts]
    return [*found[:-1], amount]
