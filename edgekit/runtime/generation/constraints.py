"""Which tokens an answer may have next, whatever the model says; transformers' rules, in numpy.

An encoder-decoder's makers tell its answers how to begin, which tokens never to give and when not
to stop. A rule turns scores of tokens that are not allowed into ``FORBIDDEN``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.errors import SpecError
from edgekit.runtime.generation.sampling import Logits

# Finite, so that no difference of two becomes NaN; far from overflow at any temperature.
FORBIDDEN = np.float32(-1e30)


@dataclass(frozen=True)
class Rules:
    """What the model's makers say of its answers.

    Attributes:
        start: ids that every answer begins with and that are not part of it: the decoder's start,
            for some the language to answer in.
        eos: ids that end an answer.
        first: the id that an answer must begin with; None for any.
        last: the id at the longest answer's end; None for any.
        suppressed: ids that are never given.
        suppressed_first: ids that an answer does not begin with.
        banned: sequences of ids that are never given.
        no_repeat: an answer has no run of this many ids twice; 0 for no such rule.
        least: tokens, those of ``start`` included, before an answer may end.
    """

    start: tuple[int, ...]
    eos: tuple[int, ...] = ()
    first: int | None = None
    last: int | None = None
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    banned: tuple[tuple[int, ...], ...] = ()
    no_repeat: int = 0
    least: int = 0

    def __post_init__(self) -> None:
        """Refuse rules that no answer can follow.

        Raises:
            SpecError: nothing to begin with, an id below 0, an empty sequence, a number below 0.
        """
        single = (*self.start, *self.eos, *self.suppressed, *self.suppressed_first)
        ids = (*single, *(i for i in (self.first, self.last) if i is not None))
        every = (*ids, *(i for run in self.banned for i in run))
        if not self.start or min(every) < 0 or not all(self.banned):
            raise SpecError(
                "an answer needs a token to begin with, and ids are 0 or more",
                hint="decoder_start_token_id in generation_config.json or config.json says it.",
            )
        if self.no_repeat < 0 or self.least < 0:
            raise SpecError("no_repeat and least are 0 or more")


def constrained(scores: Logits, ids: Sequence[int], rules: Rules, longest: int) -> Logits:
    """Scores with what is not allowed at ``FORBIDDEN``.

    Args:
        scores: logits or their logarithms of probabilities, ``(vocabulary,)``; left as they are.
        ids: what the decoder has read, those of ``start`` included.
        rules: see ``Rules``.
        longest: the most tokens, those of ``start`` included.
    """
    found = scores.copy()
    if banned := [*_repeats(ids, rules.no_repeat), *_endings(ids, rules)]:
        found[banned] = FORBIDDEN
    if len(ids) < rules.least and rules.eos:
        found[list(rules.eos)] = FORBIDDEN
    if rules.first is not None and len(ids) == 1:
        found = _only(found, rules.first)
    if rules.last is not None and len(ids) == longest - 1:
        found = _only(found, rules.last)
    if rules.suppressed:
        found[list(rules.suppressed)] = FORBIDDEN
    # Behind a first token that is forced, the answer begins with the second.
    begin = len(rules.start) + (rules.first is not None and len(rules.start) == 1)
    if rules.suppressed_first and len(ids) == begin:
        found[list(rules.suppressed_first)] = FORBIDDEN
    return found


def _only(scores: Logits, token: int) -> Logits:
    found = np.full_like(scores, FORBIDDEN)
    found[token] = 0.0
    return found


def _repeats(ids: Sequence[int], size: int) -> list[int]:
    """Ids that would make a run of ``size`` ids appear again (Paulus et al. 2017)."""
    if size == 0 or len(ids) + 1 < size:
        return []
    tail = tuple(ids[len(ids) + 1 - size :])
    return [
        ids[at + size - 1]
        for at in range(len(ids) - size + 1)
        if tuple(ids[at : at + size - 1]) == tail
    ]


def _endings(ids: Sequence[int], rules: Rules) -> list[int]:
    """Last ids of banned sequences that are otherwise complete."""
    return [
        run[-1]
        for run in rules.banned
        if len(run) - 1 <= len(ids) and tuple(ids[len(ids) - len(run) + 1 :]) == run[:-1]
    ]
