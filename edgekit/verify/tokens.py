"""How near a decoder's next tokens are to the eager model's: token by token, never by eye.

Every measure is teacher-forced: both see the same tokens, so one different choice does not spoil
the rest. For 4-bit weights three numbers say what a reader of the text would notice: how far the
distribution of the next token moved, how often its first choice changed, and how much more the
model is surprised by real text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import HopQuality, TokenFloor, TokenQuality

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """An artifact's logits against the eager model's on the same tokens.

    Attributes:
        tokens: rows of logits that were compared.
        max_difference: largest absolute difference of a logit.
        scale: what a logit of the eager model usually is: their root mean square, 1 at least.
        mean_divergence: KL(eager || artifact) in nats for each token, mean.
        worst_divergence: of the worst token.
        top1_agreement: share of tokens with the same first choice.
        perplexity: of the artifact on the tokens that followed; NaN where none is known.
        reference_perplexity: of the eager model.
    """

    tokens: int
    max_difference: float
    scale: float
    mean_divergence: float
    worst_divergence: float
    top1_agreement: float
    perplexity: float
    reference_perplexity: float

    @property
    def perplexity_ratio(self) -> float:
        """How much more the artifact is surprised; 1 is as good as eager."""
        return self.perplexity / self.reference_perplexity


def compare(wanted: NDArray[Any], found: NDArray[Any], followed: NDArray[np.int64]) -> Parity:
    """Measure rows of logits against each other.

    Args:
        wanted: the eager model's, ``(tokens, vocabulary)``.
        found: the artifact's.
        followed: the token that came next in the text, ``(tokens,)``; -1 where none did.
    """
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    reference, other = _log_softmax(wanted), _log_softmax(found)
    divergence = (np.exp(reference) * (reference - other)).sum(axis=1)
    known = followed >= 0
    places = np.flatnonzero(known), followed[known]
    surprise = [
        float(np.exp(-rows[places].mean())) if known.any() else np.nan
        for rows in (other, reference)
    ]
    return Parity(
        tokens=len(wanted),
        max_difference=float(np.abs(wanted - found).max()),
        scale=max(1.0, float(np.sqrt(np.square(wanted).mean()))),
        mean_divergence=float(divergence.mean()),
        worst_divergence=float(divergence.max()),
        top1_agreement=float((wanted.argmax(1) == found.argmax(1)).mean()),
        perplexity=surprise[0],
        reference_perplexity=surprise[1],
    )


def judged(
    hop: HopQuality,
    wanted: Sequence[NDArray[Any]],
    found: Sequence[NDArray[Any]],
    followed: Sequence[Sequence[int]],
    floor: TokenFloor | None,
    greedy: float | None = None,
) -> HopQuality:
    """A hop of the ladder with what its tokens say.

    Args:
        hop: its cosines and verdict so far.
        wanted: the eager model's logits, ``(tokens, vocabulary)`` for each text.
        found: the hop's.
        followed: see ``compare``, for each text.
        floor: what must hold; None measures only.
        greedy: share of greedy answers that was the same, up to the first other token.
    """
    if any(
        a.shape != b.shape or not np.isfinite(b).all() for a, b in zip(wanted, found, strict=True)
    ):
        return hop.model_copy(update={"passed": False})
    after = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in followed])
    parity = compare(np.concatenate(wanted), np.concatenate(found), after)
    ratio = parity.perplexity_ratio
    tokens = TokenQuality(
        count=parity.tokens,
        max_difference=_figure(parity.max_difference),
        divergence=_figure(max(parity.mean_divergence, 0.0)),
        worst_divergence=_figure(max(parity.worst_divergence, 0.0)),
        perplexity_ratio=round(ratio, 5) if np.isfinite(ratio) else None,
        greedy=None if greedy is None else round(greedy, 5),
    )
    missed = [] if floor is None else misses(tokens, parity.top1_agreement, parity.scale, floor)
    return hop.model_copy(
        update={
            "tokens": tokens,
            "agreement": parity.top1_agreement,
            "passed": hop.passed and not missed,
        }
    )


def misses(tokens: TokenQuality, agreement: float, scale: float, floor: TokenFloor) -> list[str]:
    """What lies below the floor, in words."""
    found = []
    if floor.max_difference is not None and tokens.max_difference > floor.max_difference * scale:
        found.append(f"a logit differs by {tokens.max_difference}")
    if floor.divergence is not None and tokens.divergence > floor.divergence:
        found.append(f"divergence {tokens.divergence} nats a token, {floor.divergence} allowed")
    if floor.agreement is not None and agreement < floor.agreement:
        found.append(f"same first choice {agreement:.1%}, floor {floor.agreement:.0%}")
    ratio, greedy = tokens.perplexity_ratio, tokens.greedy
    if floor.perplexity_ratio is not None and ratio is not None and ratio > floor.perplexity_ratio:
        found.append(f"perplexity ratio {ratio}, {floor.perplexity_ratio} allowed")
    if floor.greedy is not None and greedy is not None and greedy < floor.greedy:
        found.append(f"only {greedy:.1%} of the greedy text is the same")
    return found


def _figure(value: float) -> float:
    """Three significant digits: enough for a verdict, and the same text on every run."""
    return float(f"{value:.3g}")


def _log_softmax(rows: Rows) -> Rows:
    shifted = rows - rows.max(axis=1, keepdims=True)
    found: Rows = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
