"""Train a student in memory: what pruning calls, and what the job behind ``distill`` calls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn

from edgekit.errors import InputRefused
from edgekit_converters.distill import losses
from edgekit_converters.distill import teacher as teachers
from edgekit_converters.distill.collate import Collate, NumberedRows
from edgekit_converters.distill.distiller import Distiller, Teacher
from edgekit_converters.distill.losses import Term
from edgekit_converters.distill.models import fixed, kind_of, pooling_of
from edgekit_converters.distill.outputs import Probe, shape_of
from edgekit_converters.training.trainer import Settings, Trained, train

DEFAULTS = {"embedding": "cosine,similarity", "classes": "logits", "tokens": "logits"}
_HELD_OUT = 0.1
_FEWEST = 4


def retrain(
    student: nn.Module,
    teacher: nn.Module,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    steps: int,
    *,
    task: str,
    folder: Path,
    loss: str | None = None,
    batch: int = 32,
    rate: float = 1e-4,
    max_length: int = 128,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Bring a changed model back to what it was, without files but temporary ones.

    Args:
        student: a transformers model; trained in place, in eval mode without gradients afterwards.
        teacher: another one with the same tokenizer; never changed.
        tokenizer: of both.
        texts: to train on; a tenth is held out, and the best weights by its loss are kept.
        steps: updates of the weights.
        task: a name of ``edgekit.tasks`` or ``text-generation``.
        folder: of the model: how a sentence's vector is pooled stands there, and which token hides
            others.
        loss: as ``--loss`` takes it, ``relations,similarity=0.5``; the task's default when None.
        batch: texts of one update.
        rate: largest learning rate.
        max_length: most tokens of a text.
        seed: the same one gives the same weights on a CPU.
        tell: given a line now and then.

    Raises:
        SpecError: an unknown loss, or one that does not go with the task.
        InputRefused: fewer than four texts.
        CheckFailed: the loss is no number any more.
    """
    from edgekit_converters.tokenizer import mask_token_id

    if len(texts) < _FEWEST:
        raise InputRefused(f"{len(texts)} texts are too few to train on", hint="Give some hundred.")
    kind = kind_of(task)
    terms = losses.parse(loss or DEFAULTS[kind])
    losses.require(terms, kind)
    pad = getattr(teacher.config, "pad_token_id", None)
    collate = Collate(
        tokenizer, task, max_length, int(pad or 0), mask_token_id(folder, tokenizer), seed=seed
    )
    pooling = pooling_of(task, folder)
    held = max(1, round(_HELD_OUT * len(texts)))
    every = NumberedRows([{"text": text} for text in texts])
    ask = teachers.Live(Probe(teacher, pooling)) if any(t.teacher for t in terms) else None
    model = assembled(Probe(student, pooling), ask, teacher, terms, seed=seed)
    rows = [every[number] for number in range(held, len(texts))]
    with tempfile.TemporaryDirectory(prefix="edgekit-retrain-") as place:
        settings = Settings(steps=steps, batch=batch, rate=rate, seed=seed)
        held_out = [every[number] for number in range(held)]
        made = train(model, rows, held_out, collate, settings, Path(place) / "run", tell)
    fixed(student)
    return made


def assembled(
    student: Probe,
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


def _names(term: Term, student: Probe, teacher: nn.Module) -> frozenset[str]:
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
