"""Is one series slower than another, or is it only noise? One rule for every comparison.

Slower (or faster) is said when all of this holds: the 95 % interval of the ratio of medians leaves
out 1; the medians differ by more than the floor; and they differ by more than the spread of both
runs, which is the range of block medians of the one plus that of the other. Where blocks are taken
that do not count, the middle halves of all times must lie apart as well: on a disturbed machine
two block medians can agree by chance. Else no difference was seen, which is not a proof that there
is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from edgekit.bench.statistics import Floats, interval, ratio_draws

FLOOR, QUICK_FLOOR = 0.03, 0.10
LEAST_BLOCKS = 2

Word = Literal["slower", "faster", "no difference seen", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    """``ratio`` is the second median over the first, between ``low`` and ``high``."""

    word: Word
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as a JSON-able record."""
        return asdict(self)


def judge(
    first: Sequence[Floats],
    second: Sequence[Floats],
    *,
    floor: float = FLOOR,
    seed: int = 0,
    disturbed: bool = False,
) -> Verdict:
    """Hold two series against each other.

    Args:
        first: the blocks of the baseline, each with its numbers; more is worse.
        second: the blocks of what is judged.
        floor: least difference of the medians that is worth a word, as a share of the first.
        seed: of the bootstrap.
        disturbed: blocks that do not count are among them.
    """
    if min(len(first), len(second)) < LEAST_BLOCKS:
        return Verdict("cannot tell", reason=f"fewer than {LEAST_BLOCKS} valid blocks")
    base = float(np.median(np.concatenate(first)))
    found = float(np.median(np.concatenate(second)))
    if base <= 0:
        return Verdict("cannot tell", reason="the baseline is zero")
    low, high = interval(ratio_draws(first, second, seed))
    difference = found - base
    spread = _range(first) + _range(second)
    word: Word = "no difference seen"
    reason = ""
    if low <= 1 <= high:
        reason = "the interval includes 1"
    elif abs(difference) <= floor * base:
        reason = f"within {floor:.0%}"
    elif abs(difference) <= spread:
        reason = f"within the spread of both runs ({spread / base:.1%})"
    elif disturbed and _overlap(first, second):
        reason = "the middle halves overlap, on a disturbed machine"
    else:
        word = "slower" if difference > 0 else "faster"
    return Verdict(word, found / base, low, high, reason)


def _overlap(first: Sequence[Floats], second: Sequence[Floats]) -> bool:
    """Whether the middle halves of two series have times in common."""
    (low, high), (least, most) = (
        np.percentile(np.concatenate(blocks), [25, 75]) for blocks in (first, second)
    )
    return bool(low <= most and least <= high)


def _range(blocks: Sequence[Floats]) -> float:
    medians = [float(np.median(block)) for block in blocks]
    return max(medians) - min(medians)
