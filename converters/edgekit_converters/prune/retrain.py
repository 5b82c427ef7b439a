"""Train a pruned model to answer as the original did: distillation without labels.

Hinton et al. (1503.02531) for logits; the cosine towards the original's vectors otherwise. Where
the width is still the original's, the states between the layers follow the original's as well
(TinyBERT, Jiao et al., 1909.10351): they say much more of each text than its answer does.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgekit.errors import CheckFailed
from edgekit_converters.distill import cache, losses, retraining
from edgekit_converters.distill import teacher as teachers
from edgekit_converters.distill.collate import NumberedRows
from edgekit_converters.distill.losses import Term
from edgekit_converters.distill.outputs import shape_of
from edgekit_converters.prune.masks import Masks
from edgekit_converters.prune.subject import SEQ2SEQ, Subject
from edgekit_converters.training.settings import Settings, Trained

RATE = 3e-4
_BATCH = 32
_WARM_UP = 0.05
_HELD_OUT = 10  # one text of so many is looked at and not trained on
_MOST_HELD_OUT = 128


def retrain(
    changed: Subject,
    original: Subject,
    texts: Sequence[str],
    steps: int,
    work: Path,
    *,
    follows: Sequence[int] = (),
    zeros: Masks | None = None,
    seed: int = 0,
    rate: float = RATE,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train a pruned model in place; dropout stays off, and the best weights are kept.

    Args:
        changed: with the model that learns, and its tokenizer.
        original: whose outputs are learnt; never changed.
        texts: to train on; no more of them are read than there are steps for.
        steps: updates, of 32 texts each.
        work: a folder for checkpoints that is not there; it is gone afterwards.
        follows: for each layer the original's that it must end like, counted from 0; none where
            layers do not correspond.
        zeros: what a mask removed: parameter name -> True where a weight is gone.
        seed: of the order.
        rate: largest learning rate.
        say: told how it goes.

    Raises:
        CheckFailed: the loss is no number any more.
        StorageFull, CannotWrite: no room for checkpoints or the original's answers.
    """
    settings = Settings(steps=steps, batch=_BATCH, rate=rate, warmup=_WARM_UP, seed=seed)
    rows = _picked(texts, steps * _BATCH)
    held = min(_MOST_HELD_OUT, len(rows) // _HELD_OUT)
    terms = _terms(changed, original, follows)
    ask = _asked(changed, original, rows, terms, say)
    try:
        return retraining.retrain(
            changed.answers(),
            ask,
            original.model,
            terms,
            NumberedRows(_Part(rows, range(held, len(rows))), held),
            NumberedRows(_Part(rows, range(held))) if held else None,
            changed.collate,
            settings,
            work,
            say,
            zeros=zeros,
        )
    except CheckFailed as error:
        raise _failed(error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _failed(error: CheckFailed) -> CheckFailed:
    """The same, where no checkpoint is kept."""
    return CheckFailed(
        f"training towards the original failed at step {error.details.get('step')}: the loss is no "
        "number any more",
        hint="Leave --retrain out, or look at the texts.",
    )


class _Part:
    """Some of the texts, read when they are wanted."""

    def __init__(self, texts: Any, places: Sequence[int]) -> None:
        self._texts = texts
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Any:
        found = self._texts[self._places[index]]
        return {"text": found} if isinstance(found, str) else found


def _picked(texts: Sequence[str], most: int) -> _Part:
    """As many texts as can be used, evenly spread."""
    count = min(len(texts), most)
    return _Part(texts, [number * len(texts) // count for number in range(count)])


def _terms(changed: Subject, original: Subject, follows: Sequence[int]) -> list[Term]:
    own, other = shape_of(changed.model), shape_of(original.model)
    if original.categorical:
        terms = [losses.term("forward_kl")]
    elif own.hidden == other.hidden:
        terms = [losses.term("cosine")]
    else:
        terms = [losses.term("similarity")]
    if own.hidden == other.hidden and follows and original.task != SEQ2SEQ:
        layers = tuple(number + 1 for number in follows)
        settings = {"attention": 0.0, "relative": True, "layers": layers}
        terms.append(losses.term("tinybert", 1.0, settings))
    return terms


def _asked(
    changed: Subject,
    original: Subject,
    rows: _Part,
    terms: Sequence[Term],
    say: Callable[[str], None],
) -> Any:
    """The original's answers: kept where they have room, as those of a teacher are."""
    names = retraining.asked_names(terms, changed.model, original.model)
    digest = hashlib.sha256()
    for number in range(len(rows)):
        digest.update(rows[number]["text"].encode() + b"\0")
    key = [
        "prune",
        original.loaded.weights_sha256,
        hashlib.sha256(original.loaded.tokenizer.to_str().encode()).hexdigest(),
        original.task,
        original.limit,
        digest.hexdigest(),
    ]
    return teachers.asked(
        original.answers(),
        original.collate,
        NumberedRows(rows),
        names,
        key,
        cache.place(),
        cache.DEFAULT_LIMIT,
        say,
        own_tokens=changed.loaded.tokenizer is not original.loaded.tokenizer,
    )
