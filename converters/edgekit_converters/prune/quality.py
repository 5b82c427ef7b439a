"""How much of the original's behaviour a pruned model keeps, on texts that it was not made with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.prune.evidence import Batch
from edgekit_converters.prune.subject import Subject, loss

# The figure that a result is judged by, and whether more of it is better.
HEADLINES = {
    "spearman": True,
    "perplexity": False,
    "nats": False,
    "same answer": True,
    "cosine": True,
}
_FEWEST_PAIRS = 8


def measure(
    original: Subject, changed: Subject, theirs: Sequence[Batch], ours: Sequence[Batch]
) -> dict[str, float]:
    """Figures of a model against the original's own answers.

    Args:
        original: the unpruned model.
        changed: what is measured; its tokenizer may be another.
        theirs: texts as the original's tokens.
        ours: the same texts, in the same batches, as the changed model's tokens.

    Returns:
        For vectors ``spearman`` (rank correlation of all pairwise cosines with the original's) and
        ``cosine``; for logits ``same answer`` and ``divergence``; ``perplexity`` and ``nats`` a
        text where texts have next tokens. Rows that do not correspond, because texts were cut into
        other tokens, are not compared.
    """
    rows, targets = [], []
    surprise = count = 0.0
    with torch.no_grad():
        for own, other in zip(ours, theirs, strict=True):
            made, target = changed.rows(changed.model, own), original.rows(original.model, other)
            answers = changed.next_tokens(own)
            if answers is not None:
                surprise += float(F.cross_entropy(made, answers, reduction="sum"))
                count += float((answers >= 0).sum())
            same = len(made) == len(target)
            if same and (made.shape == target.shape or not original.categorical):
                rows.append(made)
                targets.append(target)
    found = {}
    if count:
        texts = sum(len(batch["input_ids"]) for batch in ours)
        found = {"nats": surprise / texts}
        if changed.loaded.tokenizer is original.loaded.tokenizer:
            # A perplexity is one of tokens: those of another vocabulary are no measure for it.
            found = {"perplexity": math.exp(min(surprise / count, 50.0)), **found}
    if rows:
        found |= compared(torch.cat(rows), torch.cat(targets), original.categorical)
    return found


def compared(ours: Tensor, theirs: Tensor, categorical: bool) -> dict[str, float]:
    """Figures of two models' rows; see ``measure``. Vectors may be of different widths."""
    if categorical:
        same = (ours.argmax(-1) == theirs.argmax(-1)).double().mean()
        return {"same answer": float(same), "divergence": float(loss(ours, theirs, True))}
    found = {}
    if len(ours) >= _FEWEST_PAIRS and ours.shape[-1] > 1:
        found["spearman"] = spearman(_pairs(ours), _pairs(theirs))
    if ours.shape[-1] == theirs.shape[-1]:
        found["cosine"] = float(F.cosine_similarity(ours, theirs, dim=-1).mean())
    return found


def headline(figures: dict[str, float]) -> str:
    """The name of the figure that a result is judged by."""
    return next((name for name in HEADLINES if name in figures), "")


def spearman(one: Tensor, other: Tensor) -> float:
    """Rank correlation of two vectors; ties share their mean rank."""
    from scipy.stats import spearmanr

    found: Any = spearmanr(one.numpy(), other.numpy())
    value = float(found.statistic)
    return value if math.isfinite(value) else 0.0


def _pairs(rows: Tensor) -> Tensor:
    unit = F.normalize(rows.double(), dim=-1)
    above = torch.triu_indices(len(rows), len(rows), 1)
    return (unit @ unit.T)[above[0], above[1]]
