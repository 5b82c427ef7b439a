"""How like the teacher a student answers, on texts that neither was trained on.

``fidelity`` is one number from 0 to 1, comparable between students of the same job:

- vectors: Spearman's correlation of the cosines of all pairs of texts, so that widths are free;
- classes and tokens: the overlap of the two distributions, ``sum(min(p, q))``, averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgekit_converters.distill.distiller import Teacher
from edgekit_converters.distill.models import Kind
from edgekit_converters.distill.outputs import Asks

MOST_TEXTS = 512
_BATCH = 32
_MOST_NUMBERS = 20_000_000  # of a teacher's distributions that are held in memory


@dataclass(frozen=True)
class Measured:
    """A model against its teacher.

    Attributes:
        fidelity: see above.
        texts: that it was measured on.
        more: further figures by name: ``cosine``, ``agreement``, ``accuracy``, ``bits``.
    """

    fidelity: float
    texts: int
    more: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As JSON-able data, rounded."""
        figures = {name: round(value, 5) for name, value in sorted(self.more.items())}
        return {"fidelity": round(self.fidelity, 5), "texts": self.texts, **figures}


class Measure:
    """The teacher's answers to a set of texts, to hold students against."""

    def __init__(self, kind: Kind, ask: Teacher, collate: Any, rows: Any) -> None:
        """Ask the teacher once.

        Args:
            kind: what is compared.
            ask: the teacher.
            collate: rows to the student's inputs.
            rows: numbered; the first ``MOST_TEXTS`` of them are used, fewer where every token has
                a distribution of its own.
        """
        self._kind = kind
        self._name = "embedding" if kind == "embedding" else "logits"
        self._batches: list[dict[str, Tensor]] = []
        self._answers: list[Tensor] = []
        self.texts = 0
        held = 0
        for start in range(0, min(len(rows), MOST_TEXTS), _BATCH):
            numbers = range(start, min(start + _BATCH, len(rows), MOST_TEXTS))
            batch = collate([rows[number] for number in numbers])
            outputs = ask(batch, batch["row"], frozenset({self._name}))
            answer = self._compared(outputs[self._name], batch)
            self._batches.append(batch)
            self._answers.append(answer)
            self.texts += len(numbers)
            held += answer.numel()
            if held > _MOST_NUMBERS:
                break

    def __call__(self, student: Asks) -> Measured:
        """Measure a student."""
        was_training = student.model.training
        student.model.eval()
        with torch.no_grad():
            found = [
                self._compared(student(batch, {self._name})[self._name], batch)
                for batch in self._batches
            ]
        student.model.train(was_training)
        if self._kind == "embedding":
            return self._vectors(torch.cat(found), torch.cat(self._answers))
        return self._distributions(found)

    def _compared(self, values: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        return values[batch["counted"].bool()] if self._kind == "tokens" else values

    def _vectors(self, own: Tensor, other: Tensor) -> Measured:
        more = {}
        if own.shape[1] == other.shape[1]:
            more["cosine"] = float(F.cosine_similarity(own, other).mean())
        return Measured(spearman(pair_cosines(own), pair_cosines(other)), self.texts, more)

    def _distributions(self, found: Sequence[Tensor]) -> Measured:
        overlap, same, right, bits, count, known = 0.0, 0.0, 0.0, 0.0, 0, 0
        for own, other, batch in zip(found, self._answers, self._batches, strict=True):
            p, q = F.softmax(own, -1), F.softmax(other, -1)
            overlap += float(torch.minimum(p, q).sum())
            same += float((own.argmax(-1) == other.argmax(-1)).sum())
            count += len(own)
            if (labels := self._labels(batch)) is not None:
                right += float((own.argmax(-1) == labels).sum())
                bits += float(F.cross_entropy(own, labels, reduction="sum")) / float(np.log(2.0))
                known += len(labels)
        more = {"agreement": same / max(count, 1)}
        if known:
            more |= {"accuracy": right / known, "bits": bits / known}
        return Measured(overlap / max(count, 1), self.texts, more)

    def _labels(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        labels = batch.get("labels")
        if labels is None or self._kind != "tokens":
            return labels
        return labels[batch["counted"].bool()]


def pair_cosines(vectors: Tensor) -> Any:
    """Cosines of all pairs of different rows, ``(n (n - 1) / 2,)``."""
    unit = F.normalize(vectors.to(torch.float64), dim=-1)
    rows, columns = np.triu_indices(len(unit), k=1)
    return (unit @ unit.T).numpy()[rows, columns]


def spearman(one: Any, other: Any) -> float:
    """Spearman's rank correlation; 0 where one side is constant."""
    from scipy.stats import rankdata

    first, second = rankdata(one), rankdata(other)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
