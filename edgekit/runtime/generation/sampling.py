"""From logits to the next token, in numpy; the rules are those of transformers' processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import SpecError

Logits = NDArray[np.float32]
# Each keeps its answer and is read again at every step.
MOST_BEAMS = 32


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, and when to stop.

    Attributes:
        max_tokens: the most tokens of one answer.
        temperature: what logits are divided by; 0 takes the likeliest token every time.
        top_k: only the k likeliest; 0 for all.
        top_p: only the likeliest whose probabilities sum to p; 1 for all.
        repetition_penalty: what logits of tokens that were already there are divided by, negative
            ones multiplied; 1 for none.
        seed: of the random numbers; the same seed gives the same answer.
        stop: texts that end the answer and are not part of it.
        beams: of an encoder-decoder's search for the likeliest answer, 1 for none; None for as many
            as its makers use.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    beams: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no sampler can do.

        Raises:
            SpecError: a value outside its range; it is named.
        """
        ranges = {
            "max_tokens": (self.max_tokens >= 1, "1 or more"),
            "temperature": (0 <= self.temperature < np.inf, "0 or more"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0, at most 1"),
            "repetition_penalty": (0 < self.repetition_penalty < np.inf, "above 0"),
            "seed": (self.seed >= 0, "0 or more"),
            "stop": (all(self.stop), "texts with at least one character"),
            "beams": (self.beams is None or 1 <= self.beams <= MOST_BEAMS, f"1 to {MOST_BEAMS}"),
        }
        for name, (holds, wanted) in ranges.items():
            if not holds:
                raise SpecError(f"{name} is {getattr(self, name)!r}", hint=f"Allowed: {wanted}.")
        if self.temperature and (self.beams or 1) > 1:
            raise SpecError(
                "a search by beams takes the likeliest answer, a temperature varies it",
                hint="Ask for beams with temperature 0, or for one beam.",
            )


class Sampler:
    """Chooses the tokens of one answer."""

    def __init__(self, sampling: Sampling) -> None:
        """Seed the random numbers."""
        self._sampling = sampling
        self._random = np.random.Generator(np.random.PCG64(sampling.seed))

    def choose(self, logits: Logits, before: Sequence[int]) -> int:
        """The next token's id.

        Args:
            logits: ``(vocabulary,)``; left as they are.
            before: ids of prompt and answer so far.
        """
        sampling = self._sampling
        scores = penalised(logits, before, sampling.repetition_penalty)
        if sampling.temperature == 0:
            return int(scores.argmax())
        scores = scores / np.float32(sampling.temperature)
        scores = nucleus(likeliest(scores, sampling.top_k), sampling.top_p)
        chances = softmax(scores)
        # The draw falls into one token's share of the way from 0 to 1.
        edges = np.cumsum(chances)
        found = int(np.searchsorted(edges, self._random.random() * edges[-1], side="right"))
        return min(found, int(np.flatnonzero(chances)[-1]))


def penalised(logits: Logits, before: Sequence[int], penalty: float) -> Logits:
    """Logits with those of earlier tokens made less likely (Keskar et al. 2019)."""
    if penalty == 1 or not before:
        return logits
    scores = logits.copy()
    seen = np.unique(np.asarray(before, dtype=np.int64))
    some = scores[seen]
    scores[seen] = np.where(some < 0, some * penalty, some / penalty)
    return scores


def likeliest(scores: Logits, count: int) -> Logits:
    """All but the ``count`` largest at minus infinity; equals of the last one stay."""
    if count == 0 or count >= len(scores):
        return scores
    least = np.partition(scores, -count)[-count]
    return np.where(scores < least, np.float32(-np.inf), scores)


def nucleus(scores: Logits, share: float) -> Logits:
    """All but the likeliest that sum to ``share`` at minus infinity (Holtzman et al. 2020)."""
    if share >= 1:
        return scores
    order = np.argsort(scores, kind="stable")
    tail = np.cumsum(softmax(scores[order])) <= 1 - share
    tail[-1] = False
    kept = scores.copy()
    kept[order[tail]] = -np.inf
    return kept


def softmax(scores: Logits) -> NDArray[np.float64]:
    """Probabilities."""
    powers = np.exp(scores.astype(np.float64) - scores.max())
    found: NDArray[np.float64] = powers / powers.sum()
    return found
