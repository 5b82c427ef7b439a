"""Prune in rounds: score, remove, train, and again, towards the amount that was asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.distill.repair import Repair
from edgekit_converters.prune import (
    allocation,
    architecture,
    masks,
    restoring,
    schedule,
    structured,
)
from edgekit_converters.prune.evidence import Batch, Evidence
from edgekit_converters.prune.request import Wanted
from edgekit_converters.prune.retrain import retrain
from edgekit_converters.prune.subject import Subject

# Shares that a sensitivity allocation tries on each weight.
_TRIED = (0.25, 0.5, 0.75, 0.9, 0.97)
Measure = Callable[[nn.Module], dict[str, float]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Texts:
    """Batches for the two uses of texts.

    Attributes:
        scoring: what scores look at.
        given: the texts themselves, to repair and to train with.
        work: where training may keep its checkpoints.
    """

    scoring: Sequence[Batch]
    given: Sequence[str]
    work: Path


@dataclass
class Pruned:
    """A pruned model with its figures.

    Attributes:
        model: smaller, or with zeros.
        sizes: the config's new numbers; empty for masks.
        removed: parameter name -> True where a weight is gone; empty for shapes.
        kept: group name -> units that stayed, in the numbers of the last round.
        before: quality after the last removal and its repair, before training.
        after: quality after training; None without.
        follows: for each layer the original's that it must end like; empty where none is.
        repair: what refitting came to after the last cut; None where it was not tried.
        trace: amount and sizes of each round.
    """

    model: nn.Module
    sizes: Mapping[str, int]
    removed: masks.Masks
    kept: Mapping[str, Sequence[int]]
    before: dict[str, float]
    after: dict[str, float] | None
    follows: Sequence[int] = ()
    repair: Repair | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)


def run(
    subject: Subject,
    wanted: Wanted,
    method: str,
    texts: Texts,
    measure: Measure,
    say: Say = lambda line: None,
) -> Pruned:
    """Prune a copy of a model by one method.

    Args:
        subject: the original, which stays as it is.
        wanted: granularity, amount, schedule, training.
        method: a file of ``scores``.
        texts: for scores and training.
        measure: quality of a model.
        say: told of rounds and training.
    """
    amounts = schedule.amounts(wanted.schedule, wanted.amount, wanted.rounds)
    steps = [wanted.retrain // len(amounts)] * len(amounts)
    steps[-1] += wanted.retrain - sum(steps)
    one_round = _masks if wanted.masks else _shapes
    if wanted.masks:
        _refuse_masked(subject, wanted.amount)
    made = Pruned(subject.model, {}, {}, {}, {}, None, follows=restoring.every_layer(subject))
    for number, (amount, share) in enumerate(zip(amounts, steps, strict=True), start=1):
        if len(amounts) > 1:
            say(f"{method}: round {number} of {len(amounts)}, {amount:.1%} removed")
        one_round(subject, wanted, method, texts, amount, made)
        made.trace.append({"amount": amount, "sizes": dict(made.sizes), "steps": share})
        if number == len(amounts):
            made.repair = _repaired(subject, wanted, texts, made, say)
            made.before = measure(made.model)
        _train(subject, wanted, texts, share, made, say)
    if wanted.retrain:
        made.after = measure(made.model)
    return made


def evidence(
    subject: Subject, model: nn.Module, batches: Sequence[Batch], wanted: Wanted
) -> Evidence:
    """What scores look at for a model of this kind."""
    return Evidence(
        model=model,
        rows=subject.rows,
        categorical=subject.categorical,
        batches=batches,
        answers=subject.next_tokens,
        seed=wanted.seed,
        amount=wanted.amount,
    )


def _shapes(
    subject: Subject, wanted: Wanted, method: str, texts: Texts, amount: float, made: Pruned
) -> None:
    seen = evidence(subject, made.model, texts.scoring, wanted)
    full = architecture.of(subject.model)
    try:
        cut = structured.trimmed(seen, full, wanted.granularity, method, amount, wanted.lift)
    except SpecError:
        if amount == wanted.amount:
            raise
        return  # a round too small to remove a whole step of units
    made.follows = restoring.after_cut(made.follows, cut.kept)
    made.model, made.kept, made.sizes = cut.model, cut.kept, cut.sizes


def _masks(
    subject: Subject, wanted: Wanted, method: str, texts: Texts, amount: float, made: Pruned
) -> None:
    if made.model is subject.model:
        made.model = copy.deepcopy(subject.model)
    seen = evidence(subject, made.model, texts.scoring, wanted)
    allocate = allocator(subject, wanted, seen, amount)
    made.removed = masks.masked(
        seen, wanted.granularity, method, amount, allocate, made.removed or None
    )


def allocator(
    subject: Subject, wanted: Wanted, seen: Evidence, amount: float
) -> allocation.Allocate:
    """Shares of each weight from its scores, as ``--allocation`` says."""
    if wanted.allocation == "uniform":
        return partial(allocation.uniform, amount=amount)
    if wanted.allocation == "global":
        return partial(allocation.ranked, amount=amount)

    def sensitive(scores: Mapping[str, Tensor]) -> dict[str, float]:
        from edgekit_converters.prune.scan import mask_losses

        losses = mask_losses(subject, seen, scores, _TRIED)
        sizes = {name: score.numel() for name, score in scores.items()}
        return allocation.sensitive(sizes, amount, losses, _TRIED)

    return sensitive


def _repaired(
    subject: Subject, wanted: Wanted, texts: Texts, made: Pruned, say: Say
) -> Repair | None:
    if not wanted.repair or wanted.masks or made.model is subject.model:
        return None
    changed = subject.holding(made.model)
    return restoring.restore(changed, subject, texts.given, made.follows, say)


def _train(
    subject: Subject, wanted: Wanted, texts: Texts, steps: int, made: Pruned, say: Say
) -> None:
    if steps and made.model is not subject.model:
        retrain(
            subject.holding(made.model),
            subject,
            texts.given,
            steps,
            texts.work,
            follows=made.follows,
            zeros=made.removed,
            seed=wanted.seed,
            say=say,
        )


def _refuse_masked(subject: Subject, amount: float) -> None:
    named = dict(subject.model.named_parameters())
    weights = [named[name] for name in masks.targets(subject.model) if name in named]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    share = zeros / max(1, sum(weight.numel() for weight in weights))
    if share >= amount:
        raise SpecError(
            f"the model is pruned already: {share:.1%} of these weights are zero",
            hint=f"Start from the model that it was made of, or ask for more than {share:.2f}.",
        )
