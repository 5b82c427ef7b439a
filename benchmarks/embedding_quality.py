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

    ``graded(student)`` is Spearman's correlation of cosines with the grades; ``fidelity(student)``
    that of its cosines with the teacher's, over all pairs of unseen sentences.
    """

    def __init__(self, teacher: Taught, graded: int = 500, unseen: int = 192) -> None:
        self._pairs = pairs(graded)
        self._unseen = sentences(EVALUATION, unseen, seed=1)
        self.teacher = self.graded(teacher)
        self._cosines = pair_cosines(embeddings(teacher, self._unseen))

    def graded(self, student: Taught) -> float:
        """On the graded pairs."""
        own = embeddings(student, [one for one, _, _ in self._pairs])
        other = embeddings(student, [two for _, two, _ in self._pairs])
        cosines = torch.nn.functional.cosine_similarity(own, other)
        return spearman(cosines.numpy(), [grade for _, _, grade in self._pairs])

    def fidelity(self, student: Taught) -> float:
        """Against the teacher."""
        return spearman(pair_cosines(embeddings(student, self._unseen)), self._cosines)

    def row(self, student: Taught) -> list[str]:
        """Retention on the graded pairs, and fidelity, for a table."""
        graded = self.graded(student)
        return [f"{graded:.4f}", f"{graded / self.teacher:.2%}", f"{self.fidelity(student):.4f}"]

    def conditions(self) -> str:
        """What was measured on."""
        return (
            f"{len(self._pairs)} self-made graded pairs; fidelity on {len(self._unseen)} docstring "
            f"sentences of {', '.join(EVALUATION)}, none of them trained on"
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
