"""How much of a sentence encoder a student keeps: on graded pairs, and against its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.docstrings import EVALUATION, sentences
from benchmarks.graded_pairs import pairs
from edgekit_converters.distill.collate import collate_for
from edgekit_converters.distill.measure import pair_cosines, spearman
from edgekit_converters.distill.models import Taught

_BATCH = 32


class Quality:
    """Graded pairs and unseen sentences, with the teacher's answers to them.

    ``graded(student)`` is Spearman's correlation of cosines with the grades. Beside it
    ``figures(student)`` has two more, that of its cosines with the teacher's: on the graded pairs,
    whose sentences are more or less like each other, and over all pairs of unseen sentences. Nearly
    all of those have nothing to do with each other: the harder figure, and of less use.
    """

    COLUMNS = ("graded", "of the teacher's", "as the teacher, graded", "as the teacher, any pairs")

    def __init__(self, teacher: Taught, graded: int = 500, unseen: int = 192) -> None:
        self._pairs = pairs(graded)
        self._unseen = sentences(EVALUATION, unseen, seed=1)
        self._graded = self._pair_cosines(teacher)
        self.teacher = spearman(self._graded, self._grades())
        self._cosines = pair_cosines(embeddings(teacher, self._unseen))

    def graded(self, student: Taught) -> float:
        """Against the grades."""
        return spearman(self._pair_cosines(student), self._grades())

    def figures(self, student: Taught) -> tuple[float, float, float]:
        """Against the grades, and the two against the teacher: ``graded``, alike, fidelity."""
        cosines = self._pair_cosines(student)
        unseen = pair_cosines(embeddings(student, self._unseen))
        return (
            spearman(cosines, self._grades()),
            spearman(cosines, self._graded),
            spearman(unseen, self._cosines),
        )

    def row(self, student: Taught) -> list[str]:
        """The cells of ``COLUMNS``."""
        graded, *likeness = self.figures(student)
        cells = [f"{value:.4f}" for value in likeness]
        return [f"{graded:.4f}", f"{graded / self.teacher:.2%}", *cells]

    def _pair_cosines(self, model: Taught) -> Any:
        own = embeddings(model, [one for one, _, _ in self._pairs])
        other = embeddings(model, [two for _, two, _ in self._pairs])
        return torch.nn.functional.cosine_similarity(own, other).numpy()

    def _grades(self) -> list[int]:
        return [grade for _, _, grade in self._pairs]

    def conditions(self) -> str:
        """What was measured on."""
        return (
            f"{len(self._pairs)} self-made graded pairs; all pairs of {len(self._unseen)} "
            f"docstring sentences of {', '.join(EVALUATION)}; none of them trained on"
        )


def embeddings(model: Taught, texts: Sequence[str]) -> Tensor:
    """Vectors of texts, ``(texts, width)``."""
    collate, probe = collate_for(model), model.probe()
    found = []
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(texts), _BATCH):
        rows: list[Any] = [{"text": texts[i], "row": 0} for i in order[start : start + _BATCH]]
        with torch.no_grad():
            found.append(probe(collate(rows), {"embedding"})["embedding"])
    made = torch.cat(found)
    return made[torch.tensor(order).argsort()]
