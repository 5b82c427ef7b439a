"""How near an artifact's generation is to the eager model's: token by token, never by eye.

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
import torch
from numpy.typing import NDArray

from edgekit.errors import SpecError
from edgekit.runtime.generation import Generator, Sampling
from edgekit.runtime.generation.loop import Steps

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """An artifact's logits against the eager model's on the same tokens.

    Attributes:
        tokens: rows of logits that were compared.
        max_difference: largest absolute difference of a logit.
        mean_divergence: KL(eager || artifact) in nats for each token, mean.
        worst_divergence: of the worst token.
        top1_agreement: share of tokens with the same first choice.
        perplexity: of the artifact on the tokens that followed.
        reference_perplexity: of the eager model.
    """

    tokens: int
    max_difference: float
    mean_divergence: float
    worst_divergence: float
    top1_agreement: float
    perplexity: float
    reference_perplexity: float

    @property
    def perplexity_ratio(self) -> float:
        """How much more the artifact is surprised; 1 is as good as eager."""
        return self.perplexity / self.reference_perplexity


def reference_logits(model: Any, ids: Sequence[int]) -> Rows:
    """The eager model's logits after every token, ``(tokens, vocabulary)``; no cache involved."""
    with torch.no_grad():
        row = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    found: Rows = row.double().numpy()
    return found


def stepped_logits(steps: Steps, ids: Sequence[int], prompt: int) -> Rows:
    """An artifact's logits after token ``prompt`` and every later one.

    Args:
        steps: the decoder.
        ids: the whole text.
        prompt: tokens that are read in one pass; the rest one by one.

    Returns:
        ``(len(ids) - prompt + 1, vocabulary)``.
    """
    rows = [steps.feed(ids[:prompt], 0)]
    rows += [steps.feed([ids[at]], at) for at in range(prompt, len(ids))]
    return np.stack(rows).astype(np.float64)


def teacher_forced(
    model: Any, steps: Steps, texts: Sequence[Sequence[int]], prompt: int = 8
) -> Parity:
    """Compare a decoder with the eager model on texts.

    Args:
        model: eager, fp32.
        steps: the artifact.
        texts: token ids, each longer than ``prompt`` and within the context.
        prompt: see ``stepped_logits``.

    Raises:
        SpecError: a text that is too short or too long.
    """
    wanted, found, followed = [], [], []
    for ids in texts:
        if not prompt < len(ids) <= steps.context:
            raise SpecError(
                f"a text of {len(ids)} tokens cannot be measured with",
                hint=f"From {prompt + 1} to {steps.context} tokens.",
            )
        wanted.append(reference_logits(model, ids)[prompt - 1 :])
        found.append(stepped_logits(steps, ids, prompt))
        followed.append([*ids[prompt:], -1])
    return compare(np.concatenate(wanted), np.concatenate(found), np.concatenate(followed))


def compare(wanted: Rows, found: Rows, followed: NDArray[np.int64]) -> Parity:
    """Measure rows of logits against each other.

    Args:
        wanted: the eager model's, ``(tokens, vocabulary)``.
        found: the artifact's.
        followed: the token that came next in the text, ``(tokens,)``; -1 where none did.
    """
    reference, other = _log_softmax(wanted), _log_softmax(found)
    divergence = (np.exp(reference) * (reference - other)).sum(axis=1)
    known = followed >= 0
    places = np.flatnonzero(known), followed[known]
    return Parity(
        tokens=len(wanted),
        max_difference=float(np.abs(wanted - found).max()),
        mean_divergence=float(divergence.mean()),
        worst_divergence=float(divergence.max()),
        top1_agreement=float((wanted.argmax(1) == found.argmax(1)).mean()),
        perplexity=float(np.exp(-other[places].mean())),
        reference_perplexity=float(np.exp(-reference[places].mean())),
    )


def greedy(model: Any, ids: Sequence[int], count: int) -> list[int]:
    """The eager model's greedy continuation, the whole text computed anew for each token."""
    text = list(ids)
    for _ in range(count):
        text.append(int(reference_logits(model, text)[-1].argmax()))
    return text[len(ids) :]


def same_greedy(model: Any, generator: Generator, ids: Sequence[int], count: int) -> int:
    """How many tokens of the greedy continuation are the eager model's, up to the first other.

    Args:
        model: eager, fp32.
        generator: around the artifact, without end tokens.
        ids: the prompt.
        count: tokens to generate; prompt and answer must fit the context.
    """
    wanted = greedy(model, ids, count)
    made = [token.id for token in generator.generate(ids, Sampling(max_tokens=count))]
    pairs = enumerate(zip(wanted, made, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(wanted), len(made)))


def _log_softmax(rows: Rows) -> Rows:
    shifted = rows - rows.max(axis=1, keepdims=True)
    found: Rows = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
