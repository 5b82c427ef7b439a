"""How much of the original's answers a model keeps: folders in PyTorch, artifacts as they run.

``fidelity`` is what a distillation reports: for vectors Spearman's correlation of the cosines of
all pairs of texts, for classes and tokens the overlap of both distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from edgekit.bundle.read import load_manifest
from edgekit.runtime import open_artifact
from edgekit.runtime.encode import encode, unpad
from edgekit_converters import prepare
from edgekit_converters.distill.measure import pair_cosines, spearman
from edgekit_converters.prune.subject import LONGEST, Subject, subject
from edgekit_converters.quiet import quiet
from edgekit_converters.source import resolve

_MOST_NUMBERS = 20_000_000  # of the original's answers that are held in memory
_FEWEST_PAIRS = 3


class Reference:
    """The original's answers to the held-out texts."""

    def __init__(self, original: Subject, texts: Sequence[str]) -> None:
        """Ask the original once, one text a time.

        Args:
            original: in fp32, as it was loaded.
            texts: fewer of them are used where every token has a distribution of its own.
        """
        self._original = original
        self._texts: list[str] = []
        self._answers: list[Tensor] = []
        held = 0
        with quiet(), prepare.one_thread():
            for text in texts:
                if held > _MOST_NUMBERS:
                    break
                self._texts.append(text)
                self._answers.append(_answer(original, text))
                held += self._answers[-1].numel()

    @property
    def texts(self) -> int:
        """How many are compared."""
        return len(self._texts)

    def of_original(self) -> dict[str, float]:
        """The original against itself: the first line of a table."""
        return self._compared(self._answers)

    def of_folder(self, folder: Path, max_length: int | None) -> dict[str, float]:
        """A folder's answers in PyTorch, in fp32, in the tokens of its own tokenizer."""
        with quiet(), prepare.one_thread():
            other = subject(resolve(folder), self._original.task, max_length)
            return self._compared([_answer(other, text) for text in self._texts])

    def of_artifact(self, bundle: Path, runtime: str) -> dict[str, float] | None:
        """An artifact's answers, run here; None where one pass does not give an answer."""
        manifest = load_manifest(bundle)
        if manifest.generation is not None:
            return None
        tokenizer = Tokenizer.from_file(str(bundle / manifest.tokenizer.file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        limit = min(manifest.limits.max_length, LONGEST)
        found = []
        session = open_artifact(bundle, manifest, runtime)
        try:
            for text in self._texts:
                inputs = encode(
                    tokenizer,
                    manifest.signature,
                    text,
                    limit,
                    pad_id=manifest.tokenizer.filler,
                    truncate=True,
                )
                made = session.run(inputs)[manifest.signature.outputs[0].name]
                rows, _ = unpad(made, inputs)
                found.append(torch.from_numpy(np.array(rows)).reshape(-1, rows.shape[-1]))
        finally:
            session.close()
        return self._compared(found)

    def _compared(self, found: Sequence[Tensor]) -> dict[str, float]:
        if self._original.categorical:
            return _distributions(found, self._answers)
        return _vectors(torch.cat(list(found)), torch.cat(self._answers))


def _answer(model: Subject, text: str) -> Tensor:
    (batch,) = model.batches([text], 1)
    with torch.no_grad():
        return model.rows(model.model, batch).clone()


def _vectors(own: Tensor, other: Tensor) -> dict[str, float]:
    if other.shape[1] == 1:  # a number a text
        return {"fidelity": spearman(own[:, 0].numpy(), other[:, 0].numpy())}
    found = {}
    if len(own) >= _FEWEST_PAIRS:
        found["fidelity"] = spearman(pair_cosines(own), pair_cosines(other))
    if own.shape[1] == other.shape[1]:
        found["cosine"] = float(F.cosine_similarity(own, other).mean())
    return found


def _distributions(found: Sequence[Tensor], answers: Sequence[Tensor]) -> dict[str, float]:
    """Texts that are cut into other tokens, or have other classes, are not compared."""
    overlap = same = count = 0.0
    for own, other in zip(found, answers, strict=True):
        if own.shape == other.shape:
            p, q = F.softmax(own, -1), F.softmax(other, -1)
            overlap += float(torch.minimum(p, q).sum())
            same += float((own.argmax(-1) == other.argmax(-1)).sum())
            count += len(own)
    return {"fidelity": overlap / count, "agreement": same / count} if count else {}
