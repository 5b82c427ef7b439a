"""A labelled file: texts with the label that they should get, and how often a model gives it.

The texts are tokenised here and only tensors travel. A share measured on a few hundred texts is a
rough figure, so each comes with a 95 % interval: Wilson's for accuracy, bootstrap for macro F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import columns
from edgekit.bundle.manifest import Manifest
from edgekit.errors import InputRefused, SpecError

MOST_EXAMPLES = 100_000
_RESAMPLES = 2000
_SHAPE = 'A CSV begins with the line "text,label"; a JSONL line is {"text": "...", "label": "..."}.'
_Z = 1.959964  # two-sided 95 % of a normal


@dataclass(frozen=True)
class Example:
    """One text of the file, the index of its label, and the line that it stands on."""

    text: str
    label: int
    line: int


@dataclass(frozen=True)
class Share:
    """A share of 1 with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """How well an artifact labels a file.

    Attributes:
        samples: texts in the file.
        accuracy: share of texts with the right label, Wilson interval.
        macro_f1: mean of the F1 of every label that occurs, bootstrap interval.
    """

    samples: int
    accuracy: Share
    macro_f1: Share

    def as_dict(self) -> dict[str, Any]:
        """The score as JSON-able data."""
        return asdict(self)


def read(path: Path, manifest: Manifest) -> list[Example]:
    """Read a labelled file for a classifier.

    Args:
        path: ``.jsonl``, ``.csv`` or ``.tsv`` with the columns ``text`` and ``label``. A label is a
            name of the manifest's labels, or its index.
        manifest: of the bundle that will be scored.

    Raises:
        SpecError: the bundle is no single-label classifier, or the file's ending is unknown.
        InputMissing: there is no such file.
        InputRefused: a row is not as it should be; it is named.
    """
    labels = _labels(manifest)
    examples: list[Example] = []
    for row in columns.read(path):
        if len(examples) == MOST_EXAMPLES:
            raise InputRefused(
                f"{path} has more than {MOST_EXAMPLES} examples", hint="Take a sample of them."
            )
        examples.append(Example(row.text("text"), row.index("label", labels), row.line))
    if not examples:
        raise InputRefused(f"{path} has no examples", hint=_SHAPE)
    return examples


def score(truth: Sequence[int], found: Sequence[int], classes: int, seed: int = 0) -> Score:
    """Accuracy and macro F1 of predicted label indexes.

    Args:
        truth: what the labels should be, at least one.
        found: what they are.
        classes: how many labels there are.
        seed: of the bootstrap.
    """
    pairs = np.stack([np.asarray(truth), np.asarray(found)])
    right = int((pairs[0] == pairs[1]).sum())
    return Score(len(truth), wilson(right, len(truth)), _macro_f1(pairs, classes, seed))


def wilson(right: int, count: int) -> Share:
    """A share with Wilson's interval, which stays within 0 and 1 and is honest for few samples."""
    share, square = right / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = np.sqrt(share * (1 - share) / count + square / (4 * count * count))
    half = float(_Z * spread / (1 + square / count))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    # At the ends the formula gives 0 and 1 but for rounding.
    return Share(share, 0.0 if right == 0 else low, 1.0 if right == count else high)


def _macro_f1(pairs: NDArray[np.int64], classes: int, seed: int) -> Share:
    """Resampling examples is drawing the counts of the pairs that occur anew from their shares."""
    kinds, counts = np.unique(pairs, axis=1, return_counts=True)
    count = int(counts.sum())
    draw = np.random.default_rng(seed)
    values = [
        _f1(kinds, draw.multinomial(count, counts / count), classes) for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(values, [0.025, 0.975])
    return Share(_f1(kinds, counts, classes), float(low), float(high))


def _f1(kinds: NDArray[np.int64], counts: NDArray[np.int64], classes: int) -> float:
    """Macro F1 of counted (label, found) pairs, over the labels that occur on either side."""
    truth = np.bincount(kinds[0], counts, classes)
    found = np.bincount(kinds[1], counts, classes)
    right = np.bincount(kinds[0], counts * (kinds[0] == kinds[1]), classes)
    occurs = truth + found > 0
    return float((2.0 * right[occurs] / (truth + found)[occurs]).mean())


def _labels(manifest: Manifest) -> tuple[str, ...]:
    single = manifest.problem in (None, "single_label_classification")
    if manifest.task != "text-classification" or not manifest.labels or not single:
        kind = manifest.task if manifest.task != "text-classification" else str(manifest.problem)
        raise SpecError(
            f"a labelled file scores classifiers with one label a text; this bundle is for {kind}",
            hint="Leave --data out: the goldens are replayed all the same.",
        )
    return manifest.labels
