"""Train a student in memory: the one loop behind ``distill`` and behind pruning's ``--retrain``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgekit_converters.distill.distiller import Distiller, Teacher
from edgekit_converters.distill.losses import Term
from edgekit_converters.distill.models import fixed
from edgekit_converters.distill.outputs import Asks, shape_of
from edgekit_converters.training.trainer import Collate, Rows, Settings, Trained, train


def retrain(
    student: Asks,
    ask: Teacher | None,
    teacher: nn.Module,
    terms: Sequence[Term],
    rows: Rows,
    held_out: Rows | None,
    collate: Collate,
    settings: Settings,
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
    *,
    dropout: bool = False,
    train_tables: bool | None = None,
    zeros: Mapping[str, Tensor] | None = None,
) -> Trained:
    """Bring a student nearer to its teacher; in place, in eval mode without gradients afterwards.

    Args:
        student: to be trained.
        ask: gives the teacher's outputs; None where no term wants them.
        teacher: the model, for its sizes and its tables; never changed.
        terms: the losses.
        rows: to train on, by number.
        held_out: the best weights by their loss on these are kept.
        collate: rows to the student's inputs.
        settings: how long and how fast; the same seed gives the same weights on a CPU.
        folder: of checkpoints, of this run alone; see ``training.train``.
        tell: given a line now and then.
        dropout: leave dropout on.
        train_tables: train the token table; None to train it only where it is not the teacher's.
        zeros: parameter name -> True where a weight is zero and stays so.

    Raises:
        CheckFailed, SpecError, StorageFull, CannotWrite, TemporaryFailure: as for
            ``training.train``.
    """
    model = assembled(
        student,
        ask,
        teacher,
        terms,
        dropout=dropout,
        train_tables=train_tables,
        seed=settings.seed,
    )
    named = dict(student.model.named_parameters())
    # Without a gradient AdamW does not move a weight that is zero.
    hooks = [
        named[name].register_hook(_without(gone))  # type: ignore[no-untyped-call]
        for name, gone in (zeros or {}).items()
        if named[name].requires_grad
    ]
    try:
        return train(model, rows, held_out, collate, settings, folder, tell)
    finally:
        for hook in hooks:
            hook.remove()
        fixed(student.model)


def _without(gone: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient.masked_fill(gone.to(gradient.device), 0.0)


def assembled(
    student: Asks,
    ask: Teacher | None,
    teacher: nn.Module,
    terms: Sequence[Term],
    *,
    dropout: bool = False,
    train_tables: bool | None = None,
    seed: int = 0,
) -> Distiller:
    """A student ready to be trained: gradients on, tables that it has from the teacher left alone.

    Args:
        student: to be trained.
        ask: gives the teacher's outputs; None where no term wants them.
        teacher: the model, for its sizes and its tables.
        terms: the losses.
        dropout: leave dropout on.
        train_tables: train the token table; None to train it only where it is not the teacher's.
        seed: of what is learned along.
    """
    if any(
        name.startswith("attention.") for term in terms for name in _names(term, student, teacher)
    ):
        for model in (student.model, teacher):
            switch: Any = model
            switch.set_attn_implementation("eager")
    student.model.requires_grad_(True)
    if train_tables is False or (train_tables is None and _same_table(student.model, teacher)):
        _table(student.model).weight.requires_grad_(False)
    return Distiller(student, ask, shape_of(teacher), terms, dropout=dropout, seed=seed)


def _names(term: Term, student: Asks, teacher: nn.Module) -> frozenset[str]:
    own, other = term.module.needs(term.config, shape_of(student.model), shape_of(teacher))
    return own | other


def asked_names(terms: Sequence[Term], student: nn.Module, teacher: nn.Module) -> frozenset[str]:
    """All outputs of the teacher that the terms compare."""
    both = shape_of(student), shape_of(teacher)
    return frozenset().union(*(term.module.needs(term.config, *both)[1] for term in terms))


def needs_sampling(terms: Sequence[Term]) -> bool:
    """Whether the student writes texts of its own, which no cache can know."""
    return any(getattr(term.module, "SAMPLES", False) for term in terms)


def _table(model: nn.Module) -> Any:
    whole: Any = model
    return whole.get_input_embeddings()


def _same_table(student: nn.Module, teacher: nn.Module) -> bool:
    """The student's table is the teacher's, and no output layer shares it."""
    import torch

    own, other = _table(student).weight, _table(teacher).weight
    whole: Any = student
    head = whole.get_output_embeddings()
    shared = head is not None and head.weight is own
    return not shared and own.shape == other.shape and bool(torch.equal(own, other))
