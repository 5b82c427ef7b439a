"""A labelled file: texts with the label that they should get, and how often a model gives it.

The texts are tokenised here and only tensors travel. A share measured on a few hundred texts is a
rough figure, so each comes with a 95 % interval: Wilson's for accuracy, bootstrap for macro F1.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.manifest import Manifest
from edgekit.errors import InputMissing, InputRefused, SpecError

MOST_EXAMPLES = 100_000
_LONGEST_LINE = 1 << 20
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
        path: ``.csv`` with a head that has ``text`` and ``label``, or ``.jsonl`` with those keys.
            A label is a name of the manifest's labels, or its index.
        manifest: of the bundle that will be scored.

    Raises:
        SpecError: the bundle is no single-label classifier, or the file's ending is unknown.
        InputMissing: there is no such file.
        InputRefused: a line is not as it should be; it is named.
    """
    labels = _labels(manifest)
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
    rows = readers.get(path.suffix.lower())
    if rows is None:
        raise SpecError(
            f"{path.name} is neither .csv nor .jsonl",
            hint=_SHAPE,
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            examples = [
                Example(_text(text, path, line), _index(label, labels, path, line), line)
                for line, text, label in _bounded(rows(file, path), path)
            ]
    except FileNotFoundError:
        raise InputMissing(
            f"no such file: {path}", hint="Pass a .csv or .jsonl file.", path=str(path)
        ) from None
    except OSError as error:
        raise InputRefused(f"cannot read {path}: {error.strerror}", hint=_SHAPE) from error
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path} is not UTF-8: {error.reason}", hint="Save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise InputRefused(f"{path} is not a CSV: {error}", hint=_SHAPE) from None
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


def _csv_rows(file: IO[str], path: Path) -> Iterator[tuple[int, Any, Any]]:
    rows = csv.DictReader(_lines(file, path), strict=True)
    if not {"text", "label"} <= set(rows.fieldnames or ()):
        raise InputRefused(f"{path} has no columns text and label", hint=_SHAPE)
    for row in rows:
        yield rows.line_num, row["text"], row["label"]


def _json_rows(file: IO[str], path: Path) -> Iterator[tuple[int, Any, Any]]:
    for number, line in enumerate(_lines(file, path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputRefused(f"{path}, line {number}: not a JSON object", hint=_SHAPE)
        yield number, row.get("text"), row.get("label")


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    """The file's lines, none so long that it fills the memory."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise InputRefused(
                f"{path}, line {number}: longer than a million characters", hint=_SHAPE
            )
        yield line


def _bounded(rows: Iterator[tuple[int, Any, Any]], path: Path) -> Iterator[tuple[int, Any, Any]]:
    for count, row in enumerate(rows):
        if count == MOST_EXAMPLES:
            raise InputRefused(
                f"{path} has more than {MOST_EXAMPLES} examples", hint="Take a sample of them."
            )
        yield row


def _text(text: Any, path: Path, line: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InputRefused(f"{path}, line {line}: it has no text", hint=_SHAPE)
    return text


def _index(label: Any, labels: tuple[str, ...], path: Path, line: int) -> int:
    """A label's index, from its name or from a number."""
    if isinstance(label, str) and label in labels:
        return labels.index(label)
    words = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
    if isinstance(words, str) and words.isascii() and words.isdigit() and len(words) < 10:
        index = int(words)
        if index < len(labels):
            return index
    raise InputRefused(
        f"{path}, line {line}: unknown label {str(label)[:60]!r}",
        hint=f"Labels: {', '.join(labels[:20])}{', ...' if len(labels) > 20 else ''}.",
    )
