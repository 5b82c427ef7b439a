"""Beam search over any decoder: several answers at once, the likeliest kept.

The rules are those of transformers' ``generate``, of which every constant here is a copy in effect:
the same settings find the same answers with the same scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InternalError, SpecError
from edgekit.runtime.generation.constraints import Rules, constrained
from edgekit.runtime.generation.loop import Steps
from edgekit.runtime.generation.sampling import Logits, penalised

# What stands for "not in the running".
_OUT = np.float32(-1e9)


@dataclass(frozen=True)
class Beams:
    """How to search.

    Attributes:
        count: answers that are kept at each step, and returned.
        max_tokens: the most tokens of one answer.
        length_penalty: scores are divided by the length to this power: above 0 favours long
            answers, below 0 short ones.
        early_stopping: True ends when ``count`` answers have ended; False when no running one is
            likely to become better, ``never`` when none can.
        repetition_penalty: as in ``Sampling``.
    """

    count: int = 4
    max_tokens: int = 256
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be searched.

        Raises:
            SpecError: a value outside its range; it is named.
        """
        ranges = {
            "count": (self.count >= 1, "1 or more"),
            "max_tokens": (self.max_tokens >= 1, "1 or more"),
            "length_penalty": (bool(np.isfinite(self.length_penalty)), "any finite number"),
            "early_stopping": (self.early_stopping in (True, False, "never"), "true, false, never"),
            "repetition_penalty": (0 < self.repetition_penalty < np.inf, "above 0"),
        }
        for name, (holds, wanted) in ranges.items():
            if not holds:
                raise SpecError(f"{name} is {getattr(self, name)!r}", hint=f"Allowed: {wanted}.")


@dataclass(frozen=True)
class Hypothesis:
    """One answer.

    Attributes:
        ids: its tokens, the one that ended it included, those it begins with not.
        score: sum of the logarithms of its tokens' probabilities, divided by the length penalty.
    """

    ids: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class _Path:
    ids: tuple[int, ...]
    score: np.float32


def search(steps: Steps, rules: Rules, beams: Beams) -> list[Hypothesis]:
    """Search from the rules' start on.

    Args:
        steps: the decoder; an encoder-decoder has read its text.
        rules: how answers begin and end.
        beams: see ``Beams``.

    Returns:
        Best first.

    Raises:
        InternalError: the runtime failed.
    """
    begin, longest = len(rules.start), min(steps.context, len(rules.start) + beams.max_tokens)
    running = [_Path(rules.start, np.float32(0))]
    # The others start as copies of the first that nobody chooses.
    running += [_Path(rules.start, _OUT)] * (beams.count - 1)
    ended: list[_Path] = []
    reader, open_ = _Reader(steps), True
    while open_:
        length = len(running[0].ids) + 1
        chosen = _continuations(running, reader, rules, beams, longest)
        hits = [path.ids[-1] in rules.eos or length >= longest for path in chosen]
        ended = _ended(ended, chosen, hits, beams, length - begin)
        left = [
            _Path(path.ids, path.score + (_OUT if hit else np.float32(0)))
            for path, hit in zip(chosen, hits, strict=True)
        ]
        running = _best(left, beams.count)
        open_ = not all(hits) and _improvable(
            running, ended, beams, length - begin, longest - begin
        )
    return [Hypothesis(path.ids[begin:], float(path.score)) for path in ended]


def _continuations(
    running: Sequence[_Path], reader: _Reader, rules: Rules, beams: Beams, longest: int
) -> list[_Path]:
    """The best of all that follow; enough for ``count`` to go on when the others end."""
    # In the order of the ids, so that each has most in common with the one before.
    order = sorted(range(len(running)), key=lambda at: running[at].ids)
    rows: dict[tuple[int, ...], Logits] = {}
    for at in order:
        ids = running[at].ids
        if ids not in rows:
            scores = log_softmax(reader.logits(ids))
            scores = penalised(scores, ids, beams.repetition_penalty)
            rows[ids] = constrained(scores, ids, rules, longest)
    every = np.concatenate([rows[path.ids] + path.score for path in running])
    count = max(2, 1 + len(rules.eos)) * beams.count
    vocabulary = len(every) // len(running)
    found = []
    for place in _largest(every, count):
        parent, token = running[place // vocabulary], int(place % vocabulary)
        found.append(_Path((*parent.ids, token), every[place]))
    return found


def _ended(
    ended: list[_Path], chosen: Sequence[_Path], hits: Sequence[bool], beams: Beams, length: int
) -> list[_Path]:
    """The best answers that have ended; a new one counts while it is among the first ``count``."""
    if len(ended) == beams.count and beams.early_stopping is True:
        return ended
    divisor = np.float32(length**beams.length_penalty)
    fresh = [
        _Path(path.ids, path.score / divisor)
        for path, hit in zip(chosen[: beams.count], hits, strict=False)
        if hit
    ]
    return _best([*ended, *fresh], beams.count)


def _improvable(
    running: Sequence[_Path], ended: Sequence[_Path], beams: Beams, length: int, most: int
) -> bool:
    """Whether a running answer may still become better than the worst that has ended."""
    if len(ended) < beams.count:
        return True
    if beams.early_stopping is True:
        return False
    hopeful = beams.early_stopping == "never" and beams.length_penalty > 0
    divisor = np.float32((most if hopeful else length) ** beams.length_penalty)
    return bool(running[0].score / divisor > min(path.score for path in ended))


def log_softmax(logits: Logits) -> Logits:
    """Logarithms of the probabilities, float32."""
    shifted = logits - logits.max()
    found: Logits = shifted - np.log(np.exp(shifted).sum(dtype=np.float32))
    return found


def _best(paths: Sequence[_Path], count: int) -> list[_Path]:
    """The ``count`` best, best first; of equals the earlier."""
    return sorted(paths, key=lambda path: -path.score)[:count]


def _largest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Places of the largest, largest first; of equals the earlier."""
    count = min(count, len(scores))
    some = np.sort(np.argpartition(-scores, count - 1)[:count])
    return some[np.argsort(-scores[some], kind="stable")]


class _Reader:
    """Reads whole sequences with a decoder that has one cache: what it holds is not read again."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._cached: tuple[int, ...] = ()

    def logits(self, ids: tuple[int, ...]) -> Logits:
        """What follows ``ids``."""
        common = 0
        for one, other in zip(ids[:-1], self._cached, strict=False):
            if one != other:
                break
            common += 1
        self._cached = ids[:common]
        found = self._steps.feed(ids[common:], common)
        if found.shape != (self._steps.vocabulary,) or not np.isfinite(found).all():
            raise InternalError("the decoder gave logits that are not finite numbers")
        self._cached = ids
        return found
