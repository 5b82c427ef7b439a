"""A pruned model and its random control, whatever is removed: shapes, single weights, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgekit.errors import SpecError
from edgekit.stages import Stages
from edgekit_converters.distill.repair import Repair
from edgekit_converters.prune import quality, ranking, rounds
from edgekit_converters.prune.architecture import of as architecture_of
from edgekit_converters.prune.plan import Cut
from edgekit_converters.prune.request import FREQUENCY, VOCAB, Wanted
from edgekit_converters.prune.retrain import retrain
from edgekit_converters.prune.subject import Subject
from edgekit_converters.prune.vocabulary import tokenizer_files, trim

RANDOM = "random"
# Texts that scores look at: more change the order of few units.
_SCORED = 128
_BATCH = 8
# Tasks with one row a text, however it is cut into tokens.
_ONE_ANSWER = ("sentence-similarity", "text-classification", "zero-shot-classification")
_HELD_OUT = 10  # one text of so many tells what a trimmed vocabulary costs


@dataclass(frozen=True)
class Vocabulary:
    """A trimmed tokenizer.

    Attributes:
        data: ``tokenizer.json``.
        places: old id -> new id.
        coverage: what held-out texts notice.
    """

    data: dict[str, Any]
    places: dict[int, int]
    coverage: dict[str, float]

    def write(self, folder: Path) -> None:
        """Bring a written folder's tokenizer in line."""
        tokenizer_files.write(folder, self.data, self.places)


@dataclass(frozen=True)
class Figures:
    """Quality of one pruned model, before training and after.

    Attributes:
        before: right after the last removal.
        after: after training; None without.
    """

    before: dict[str, float]
    after: dict[str, float] | None

    @property
    def last(self) -> dict[str, float]:
        """What the written model has."""
        return self.before if self.after is None else self.after


@dataclass(frozen=True)
class Result:
    """What a pruning made.

    Attributes:
        subject: the pruned model with its tokenizer.
        figures: its quality.
        control: that of random units, with as much training; None where not asked for.
        original: the unpruned model's own figures, for those that are not comparisons.
        sizes: the config's new numbers.
        trace: each round.
        vocabulary: where tokens were removed.
        kept: group name -> units that stayed.
        repair: what refitting came to; None where it was not tried.
    """

    subject: Subject
    figures: Figures
    control: Figures | None
    original: dict[str, float]
    sizes: dict[str, int]
    trace: list[dict[str, Any]]
    vocabulary: Vocabulary | None
    kept: dict[str, list[int]]
    repair: Repair | None = None


def make(
    original: Subject,
    wanted: Wanted,
    texts: Sequence[str],
    samples: Sequence[str],
    stages: Stages,
    work: Path,
) -> Result:
    """Prune, and prune at random beside.

    Args:
        original: stays as it is.
        wanted: the request.
        texts: to score and train with.
        samples: to measure with.
        stages: told of what begins.
        work: a folder for checkpoints that is not there.
    """
    batches = original.batches(samples, _BATCH)
    before = quality.measure(original, original, batches, batches)
    if wanted.granularity == VOCAB:
        return _vocabulary(original, wanted, texts, samples, before, stages, work)
    step = max(1, -(-len(texts) // _SCORED))
    used = rounds.Texts(original.batches(texts[::step], _BATCH), texts, work)

    def measure(model: Any) -> dict[str, float]:
        return quality.measure(original, original.holding(model), batches, batches)

    with stages.stage("prune"):
        made = rounds.run(original, wanted, wanted.method, used, measure, stages.note)
    control = None
    if wanted.control:
        with stages.stage("control"):
            other = rounds.run(original, wanted, RANDOM, used, measure, stages.note)
            control = Figures(other.before, other.after)
    return Result(
        subject=original.holding(made.model),
        figures=Figures(made.before, made.after),
        control=control,
        original=before,
        sizes=dict(made.sizes),
        trace=made.trace,
        vocabulary=None,
        kept={name: list(units) for name, units in made.kept.items()},
        repair=made.repair,
    )


def _vocabulary(
    original: Subject,
    wanted: Wanted,
    texts: Sequence[str],
    samples: Sequence[str],
    before: dict[str, float],
    stages: Stages,
    work: Path,
) -> Result:
    if wanted.retrain:
        _refuse_answers_of_tokens(original)
    held = [text for place, text in enumerate(texts) if place % _HELD_OUT == _HELD_OUT - 1]
    counted = [text for place, text in enumerate(texts) if place % _HELD_OUT != _HELD_OUT - 1]
    with stages.stage("prune"):
        made, found = _one_vocabulary(original, wanted, wanted.method, counted, samples, work)
    control = None
    if wanted.control:
        with stages.stage("control"):
            _, control = _one_vocabulary(original, wanted, RANDOM, counted, samples, work)
    reach = trim.coverage(
        original.loaded.tokenizer, made.subject.loaded.tokenizer, made.places, held or samples
    )
    return Result(
        subject=made.subject,
        figures=found,
        control=control,
        original=before,
        sizes={"vocab_size": len(made.places)},
        trace=[],
        vocabulary=Vocabulary(made.data, made.places, reach),
        kept={},
    )


def _one_vocabulary(
    original: Subject,
    wanted: Wanted,
    method: str,
    counted: Sequence[str],
    samples: Sequence[str],
    work: Path,
) -> tuple[trim.Trimmed, Figures]:
    scores = _token_scores(original, wanted, method, counted)
    place = original.loaded.source.folder
    kept = trim.chosen(place, tokenizer_files.read(place), scores, wanted.amount)
    made = trim.trimmed(original, kept)
    theirs, ours = original.batches(samples, _BATCH), made.subject.batches(samples, _BATCH)
    before = quality.measure(original, made.subject, theirs, ours)
    if not wanted.retrain:
        return made, Figures(before, None)
    retrain(made.subject, original, counted, wanted.retrain, work, seed=wanted.seed)
    return made, Figures(before, quality.measure(original, made.subject, theirs, ours))


def _token_scores(
    original: Subject, wanted: Wanted, method: str, counted: Sequence[str]
) -> torch.Tensor:
    now = architecture_of(original.model)
    group = now.throughout("vocab_size", "vocabulary")
    if method == FREQUENCY:
        return trim.counts(original.loaded.tokenizer, counted, group.count)
    step = max(1, -(-len(counted) // _SCORED))
    batches = original.batches(counted[::step], _BATCH)
    seen = rounds.evidence(original, original.model, batches, wanted)
    cut = Cut((group,), {}, {})
    return ranking.unit_scores(method, cut, seen, wanted.lift)[group.name]


def _refuse_answers_of_tokens(original: Subject) -> None:
    if original.task not in _ONE_ANSWER:
        raise SpecError(
            "a model that answers for each token cannot learn from one that cuts texts otherwise",
            hint="Leave --retrain out with --granularity vocab.",
        )
