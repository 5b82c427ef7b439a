"""Text classification: one class, several classes, or a number; a new head where labels differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset

from edgekit_converters.training.data import Data
from edgekit_converters.training.data_forms.text_classification import MULTI, REGRESSION, SINGLE
from edgekit_converters.tune import tasks
from edgekit_converters.tune.tasks import Batch, Coding, Collator, Columns

AUTO_CLASS = "AutoModelForSequenceClassification"
PEFT_TASK = "SEQ_CLS"
_PROBLEMS = {
    SINGLE: "single_label_classification",
    MULTI: "multi_label_classification",
    REGRESSION: "regression",
}


def settings(data: Data, config: Any) -> dict[str, Any]:
    """Label names and the kind of problem."""
    names = data.labels or ("score",)
    own = [config.id2label[index] for index in sorted(config.id2label)]
    if set(names) <= set(own):
        names = tuple(own)  # the head knows these already, in its order
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        "problem_type": _PROBLEMS[data.kind],
    }


def encoded(batch: Batch, coding: Coding) -> Columns:
    """Tokens, and as labels an index, a vector of zeros and ones, or a number."""
    second = [text or "" for text in batch["text_b"]]
    made = coding.tokens(batch["text"], *([second] if any(second) else []))
    if coding.kind == REGRESSION:
        return {**made, "labels": batch["score"]}
    ids = [[coding.config.label2id[name] for name in names] for names in batch["labels"]]
    if coding.kind == SINGLE:
        return {**made, "labels": [one for (one,) in ids]}
    count = len(coding.config.id2label)
    return {**made, "labels": [np.bincount(one, minlength=count).tolist() for one in ids]}


def collator(coding: Coding) -> Collator:
    """Pads tokens; labels are whole numbers for one class, else floats."""
    kind = torch.long if coding.kind == SINGLE else torch.float32

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        labels = torch.tensor([row["labels"] for row in rows], dtype=kind)
        return {**coding.padded(rows), "labels": labels}

    return collate


def measured(model: Any, rows: Dataset, coding: Coding) -> dict[str, float]:
    """Accuracy, macro F1 and Matthews' correlation; or F1; or correlations and error."""
    pairs = [
        (outputs.logits.float().cpu().numpy(), batch["labels"].cpu().numpy())
        for batch, outputs in tasks.batches(model, rows, collator(coding))
    ]
    logits = np.concatenate([first for first, _ in pairs])
    truth = np.concatenate([second for _, second in pairs])
    if coding.kind == REGRESSION:
        return _correlations(logits[:, 0], truth)
    from sklearn import metrics

    if coding.kind == MULTI:
        chosen = (logits > 0).astype(int)
        return {
            "micro_f1": float(metrics.f1_score(truth, chosen, average="micro", zero_division=0)),
            "macro_f1": float(metrics.f1_score(truth, chosen, average="macro", zero_division=0)),
            "exact": float(metrics.accuracy_score(truth, chosen)),
        }
    answers = logits.argmax(axis=1)
    return {
        "accuracy": float(metrics.accuracy_score(truth, answers)),
        "macro_f1": float(metrics.f1_score(truth, answers, average="macro", zero_division=0)),
        "mcc": float(metrics.matthews_corrcoef(truth, answers)),
    }


def _correlations(answers: Any, truth: Any) -> dict[str, float]:
    from scipy import stats

    found = {}
    # A correlation with a constant is no number.
    if len(truth) > 2 and np.ptp(answers) > 0 and np.ptp(truth) > 0:
        found["spearman"] = float(stats.spearmanr(answers, truth).statistic)
        found["pearson"] = float(stats.pearsonr(answers, truth).statistic)
    return {**found, "mean_absolute_error": float(np.abs(answers - truth).mean())}
