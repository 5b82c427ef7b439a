"""What a cut leaves, refitted to what the original does: the repair of ``distill.repair``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from edgekit_converters.distill import repair
from edgekit_converters.distill.collate import NumberedRows
from edgekit_converters.distill.measure import Measure
from edgekit_converters.distill.models import Kind
from edgekit_converters.distill.outputs import shape_of
from edgekit_converters.distill.repair import Repair
from edgekit_converters.distill.teacher import Live
from edgekit_converters.prune.subject import SEQ2SEQ, Subject

_JUDGED = 4  # one text of so many judges, the others are fitted to
_MOST_JUDGING = 128
_FEWEST = 64


def every_layer(original: Subject) -> Sequence[int]:
    """Each layer of a model as it is; none where it has two stacks."""
    if original.task == SEQ2SEQ:
        return ()
    return range(shape_of(original.model).layers)


def after_cut(follows: Sequence[int], kept: Mapping[str, Sequence[int]]) -> Sequence[int]:
    """Which layer of the original each layer must end like, now that some are gone.

    Args:
        follows: the same before the cut.
        kept: group name -> units that stayed.
    """
    for name, units in kept.items():
        if name.endswith(" layers") and follows:
            return [follows[place] for place in repair.follows(units, len(follows))]
    return follows


def restore(
    changed: Subject,
    original: Subject,
    texts: Sequence[str],
    follows: Sequence[int],
    say: Callable[[str], None],
) -> Repair | None:
    """Refit a cut model in place, where that brings it nearer to the original.

    Args:
        changed: with the cut model.
        original: never changed.
        texts: of the user; some of them judge, and are not fitted to.
        follows: for each layer the original's that it must end like.
        say: told what comes of it.

    Returns:
        What came of it; None with fewer than 64 texts, and for models with two stacks of layers.
    """
    judging = min(_MOST_JUDGING, len(texts) // _JUDGED)
    if not follows or len(texts) < _FEWEST:
        return None
    step = len(texts) // judging
    chosen = texts[: judging * step : step]
    fitted = len(texts) - judging
    places = [place for place in range(len(texts)) if place % step or place >= judging * step]
    every = max(1, fitted // repair.MOST_TEXTS)
    rows = NumberedRows([{"text": texts[place]} for place in places[::every]])
    judges = NumberedRows([{"text": text} for text in chosen])
    live = Live(original.answers())
    measure = Measure(_kind(original, judges), live, original.collate, judges)
    batches = repair.batches(rows, original.collate)
    return repair.repair(changed.answers(), original.model, follows, batches, measure, say)


def _kind(original: Subject, rows: NumberedRows) -> Kind:
    """What is compared of the model's answers."""
    if not original.categorical:
        return "embedding"
    with torch.no_grad():
        answer = original.answers()(original.collate([rows[0]]), {"logits"})["logits"]
    return "tokens" if answer.dim() == 3 else "classes"
