"""Texts in words with an IOB2 tag for each: entities that are found whole, read as by seqeval."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.columns import Row
from edgekit.scoring.asking import passed
from edgekit.scoring.kinds import Asked, Mark, Scoring, require_labels
from edgekit.scoring.metrics import Metric, mean_of, ratio_of
from edgekit.tasks import Context, Query, Run

TASKS = ("token-classification",)
COLUMNS = {"tokens": "a list of words", "labels": "a list of as many labels of the model"}
OPTIONAL: dict[str, str] = {}
PERTURBED: tuple[str, ...] = ()
_OUTSIDE = "O"


def fields(context: Context) -> tuple[str, ...]:
    """Counts of entities that are right, found and there; of tags that are right and there."""
    return ("right", "found", "there", "right tags", "tags", "whole")


def texts(row: Row) -> str:
    """The words."""
    return " ".join(row.texts("tokens"))


def score(row: Row, asked: Asked) -> Scoring:
    """Tags of words, each that of its first token, and the entities that they make."""
    from seqeval.metrics.sequence_labeling import get_entities

    labels = require_labels(asked.context, "labels")
    words, wanted = row.texts("tokens"), row.texts("labels")
    unknown = sorted(set(wanted) - set(labels))
    if len(words) != len(wanted):
        raise row.wrong("labels", f"a list of {len(words)} labels, one for each word")
    if unknown:
        raise row.wrong(
            "labels", f"made of the model's labels, not {unknown[0]!r}: {', '.join(labels[:20])}"
        )
    (run,) = yield from passed(asked, Query(" ".join(words)))
    found = _tags(run, words, labels)
    there, made = set(get_entities(list(wanted))), set(get_entities(found))
    right = sum(one == other for one, other in zip(wanted, found, strict=True))
    numbers = (len(there & made), len(made), len(there), right, len(words), there == made)
    return Mark(
        tuple(float(number) for number in numbers),
        _said(made, words),
        _said(there, words),
        there == made,
    )


def metrics(context: Context) -> tuple[Metric, ...]:
    """Micro-averaged F1, precision and recall of entities; accuracy of tags; whole texts right."""
    return (
        ratio_of("entity F1", [(2.0, 0)], [(1.0, 1), (1.0, 2)]),
        ratio_of("precision", [(1.0, 0)], [(1.0, 1)]),
        ratio_of("recall", [(1.0, 0)], [(1.0, 2)]),
        ratio_of("tag accuracy", [(1.0, 3)], [(1.0, 4)]),
        mean_of("texts all right", 5, share=True),
    )


def _tags(run: Run, words: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The tag of each word's first token; a word without one is outside."""
    best = run.output.reshape(-1, run.output.shape[-1]).argmax(axis=1)
    begins: dict[int, int] = {}
    start = 0
    for index, word in enumerate(words):
        begins.update(dict.fromkeys(range(start, start + len(word)), index))
        start += len(word) + 1
    found = [""] * len(words)
    for place, (first, last) in enumerate(run.offsets):
        if run.words[place] is None:
            continue
        # Some tokenizers count the space before a word as part of it.
        at = next((begins[spot] for spot in range(first, last) if spot in begins), None)
        if at is not None and not found[at]:
            found[at] = labels[int(best[place])]
    return [tag or _OUTSIDE for tag in found]


def _said(entities: set[tuple[str, int, int]], words: Sequence[str]) -> str:
    ordered = sorted(entities, key=lambda entity: (entity[1], entity[2]))
    return "; ".join(f"{k}: {' '.join(words[a : b + 1])}" for k, a, b in ordered) or "none"
