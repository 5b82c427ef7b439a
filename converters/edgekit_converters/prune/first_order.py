"""Gradients of single texts, for first-order criteria and the empirical Fisher."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.prune.evidence import Batch, Evidence


def each_gradient(evidence: Evidence) -> Iterator[dict[str, Tensor]]:
    """The loss's gradient, one text at a time, by parameter name."""
    draw = evidence.generator()
    with evidence.differentiable():
        for batch in evidence.batches:
            for one in _singly(batch):
                rows = evidence.rows(evidence.model, one)
                yield evidence.gradients(_loss(evidence, rows, evidence.answers(one), draw))


def _loss(
    evidence: Evidence, rows: Tensor, answers: Tensor | None, draw: torch.Generator
) -> Tensor:
    if answers is not None and bool((answers >= 0).any()):
        return F.cross_entropy(rows, answers, ignore_index=-100)
    if evidence.categorical:
        return F.cross_entropy(rows, rows.detach().argmax(-1))
    return evidence.curvature_loss(rows, draw) / rows.shape[0]


def _singly(batch: Batch) -> Iterator[Batch]:
    for place in range(len(next(iter(batch.values())))):
        one = {name: tensor[place : place + 1] for name, tensor in batch.items()}
        if "attention_mask" in one:
            length = int(one["attention_mask"].sum())
            one = {name: tensor[:, :length] for name, tensor in one.items()}
        yield one
