"""Sentence embeddings from pairs, triplets or graded pairs.

Pairs and triplets: the other rows of a batch are the wrong answers (Henderson et al. 2017,
1705.00652; van den Oord et al. 2018, 1807.03748). Graded pairs: the cosine is held to the score
(Reimers and Gurevych 2019, 1908.10084). Pooling is what the folder's files say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.tasks import sentence_similarity as product
from edgekit_converters.training.data import Data
from edgekit_converters.training.data_forms.sentence_similarity import SCORED
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import Batch, Coding, Collator, Columns

AUTO_CLASS = "AutoModel"
PEFT_TASK = "FEATURE_EXTRACTION"
_SCALE = 20.0  # of cosines before the softmax: a temperature of 0.05
_SIDES = ("text_a", "text_b", "negative")


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Nothing in config.json."""
    return {}


def encoded(batch: Batch, coding: Coding) -> Columns:
    """The tokens of each text of a row."""
    made: Columns = {"score": batch["score"]}
    for side in _SIDES:
        if any(text is None for text in batch[side]):
            continue
        coded = coding.tokens(batch[side])
        made |= {f"{side}.{name}": coded[name] for name in coding.inputs}
    return made


def collator(coding: Coding) -> Collator:
    """All texts of the rows as one batch: first all ``text_a``, then all ``text_b``, and so on.

    ``labels`` holds what the loss needs besides the model's output.
    """

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        sides = [side for side in _SIDES if f"{side}.input_ids" in rows[0]]
        flat = [
            {name: row[f"{side}.{name}"] for name in coding.inputs}
            for side in sides
            for row in rows
        ]
        padded = coding.padded(flat)
        scores = [np.nan if row["score"] is None else row["score"] for row in rows]
        labels = {"mask": padded["attention_mask"], "score": torch.tensor(scores)}
        return {**padded, "labels": labels}

    return collate


def loss_for(coding: Coding) -> Any:
    """The loss of a batch, over the pooled vectors."""
    head = product.head(coding.folder)

    def loss(outputs: Any, labels: dict[str, Tensor], **more: Any) -> Tensor:
        vectors = F.normalize(head(outputs, labels["mask"]), dim=1)
        rows = len(labels["score"])
        first, second = vectors[:rows], vectors[rows : 2 * rows]
        if coding.kind == SCORED:
            wanted = labels["score"].to(vectors.dtype)
            return F.mse_loss((first * second).sum(dim=1), wanted)
        cosines = first @ vectors[rows:].T  # hard negatives stand behind the positives
        target = torch.arange(rows, device=vectors.device)
        return F.cross_entropy(_SCALE * cosines, target)

    return loss


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Graded pairs: correlations of cosine and score. Else: is the right partner the nearest?"""
    head = product.head(coding.folder)
    parts: list[list[Tensor]] = [[], [], []]
    scores: list[Tensor] = []
    for batch, outputs in tasks.batches(model, rows, collator(coding)):
        vectors = F.normalize(head(outputs, batch["labels"]["mask"]), dim=1).float().cpu()
        count = len(batch["labels"]["score"])
        for place in range(len(vectors) // count):
            parts[place].append(vectors[place * count : (place + 1) * count])
        scores.append(batch["labels"]["score"].cpu())
    first, second = torch.cat(parts[0]), torch.cat(parts[1])
    if coding.kind == SCORED:
        return _correlations((first * second).sum(dim=1).numpy(), torch.cat(scores).numpy())
    cosines = first @ second.T
    own = cosines.diagonal()[:, None]
    # Ties count against the model: equal vectors find nothing.
    ranks = (cosines >= own).sum(dim=1).double()
    found = {"accuracy_at_1": float((ranks == 1).double().mean()), "mrr": float((1 / ranks).mean())}
    if parts[2]:
        wrong = (first * torch.cat(parts[2])).sum(dim=1)
        found["triplet_accuracy"] = float((own[:, 0] > wrong).double().mean())
    return found


def _correlations(cosines: Any, scores: Any) -> dict[str, float]:
    from scipy import stats

    found = {}
    if len(scores) > 2 and np.ptp(cosines) > 0 and np.ptp(scores) > 0:
        found["spearman"] = float(stats.spearmanr(cosines, scores).statistic)
        found["pearson"] = float(stats.pearsonr(cosines, scores).statistic)
    return {**found, "mean_squared_error": float(((cosines - scores) ** 2).mean())}
