"""A consistent request: what the command line, a recipe and the defaults come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError
from edgekit_converters.distill import cache, losses
from edgekit_converters.distill.losses import Term, rationale
from edgekit_converters.distill.models import GENERATION, MASKED, Kind
from edgekit_converters.distill.recipe import Recipe
from edgekit_converters.training.trainer import Settings

DEFAULT_LOSS = {"embedding": "cosine,similarity", "classes": "logits", "tokens": "logits"}
_DEFAULT_GENERATION = "forward_kl"
_STEPS = 500
_RATE = 2e-4


@dataclass(frozen=True)
class Beginning:
    """Where the student begins; one of the three, or none for all layers of the teacher.

    Attributes:
        folder: a model of its own.
        layers: how many of the teacher's, or which: ``3`` or ``0,3,5``.
        config: a JSON file with the sizes that differ from the teacher's.
    """

    folder: str | Path | None = None
    layers: str | None = None
    config: Path | None = None


@dataclass(frozen=True)
class Wanted:
    """A settled request.

    Attributes:
        terms: losses with weights.
        settings: of the training.
        held_out: share of the rows that are not trained on.
        dropout: leave the student's dropout on.
        train_tables: see ``retraining.assembled``.
        controls: train the controls too.
        cache_bytes: most bytes of kept teacher answers.
        form: of the data, a name of ``training.data_forms``.
        repair: refit the layers that stay, see ``distill.repair``.
    """

    terms: tuple[Term, ...]
    settings: Settings
    held_out: float
    dropout: bool
    train_tables: bool | None
    controls: bool
    cache_bytes: int
    form: str
    repair: bool = True

    @property
    def teacher(self) -> bool:
        """Whether any term asks the teacher."""
        return any(term.teacher for term in self.terms)

    @property
    def reasons(self) -> rationale.Config | None:
        """Settings of the loss ``rationale``, where it is among the terms."""
        for term in self.terms:
            if isinstance(term.config, rationale.Config):
                return term.config
        return None

    def record(self) -> dict[str, Any]:
        """Everything that the result depends on, JSON-able."""
        s = self.settings
        return {
            "losses": [term.record() for term in self.terms],
            "steps": s.steps,
            "batch": s.batch,
            "accumulate": s.accumulate,
            "learning_rate": s.rate,
            "warmup": s.warmup,
            "weight_decay": s.decay,
            "evaluate_every": s.interval,
            "patience": s.patience,
            "held_out": self.held_out,
            "dropout": self.dropout,
            "train_tables": self.train_tables,
            "seed": s.seed,
            "repair": self.repair,
        }


def beginning(folder: str | Path | None, layers: str | None, config: Path | None) -> Beginning:
    """Refuse two beginnings at once.

    Raises:
        SpecError: more than one was given.
    """
    given = {"--student": folder, "--layers": layers, "--config": config}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise SpecError(f"{' and '.join(named)} both say what the student is", hint="Give one.")
    return Beginning(folder, layers, config)


def settled(said: Recipe, task: str, kind: Kind, *, bridged: bool) -> Wanted:
    """What was said, over the defaults.

    Args:
        said: command line over recipe.
        task: of the teacher.
        kind: of its answers.
        bridged: the student cuts texts into other tokens.

    Raises:
        SpecError: a value that nothing can be trained with, or a loss that does not fit.
    """
    usual = _DEFAULT_GENERATION if task == GENERATION else DEFAULT_LOSS[kind]
    terms = said.losses or tuple(losses.parse(usual))
    losses.require(terms, kind, bridged=bridged)
    reasons = any(isinstance(term.config, rationale.Config) for term in terms)
    if reasons and (len(terms) > 1 or task != GENERATION):
        raise SpecError(
            "the loss rationale trains a text-generation model on data that a teacher wrote, alone",
            hint="Use --loss rationale by itself, with columns input, rationale and label.",
        )
    if any(getattr(term.module, "SAMPLES", False) for term in terms) and task != GENERATION:
        raise SpecError(
            f"the loss on_policy lets the student write, which a model for {task} cannot",
            hint="Use it with a text-generation model.",
        )
    held_out = 0.1 if said.held_out is None else float(said.held_out)
    settings = Settings(
        steps=_STEPS if said.steps is None else said.steps,
        batch=32 if said.batch is None else said.batch,
        accumulate=said.accumulate or 1,
        rate=_RATE if said.learning_rate is None else float(said.learning_rate),
        warmup=0.1 if said.warmup is None else float(said.warmup),
        decay=0.01 if said.weight_decay is None else float(said.weight_decay),
        evaluate_every=said.evaluate_every or 0,
        patience=said.patience or 0,
        seed=said.seed or 0,
    )
    limit = cache.DEFAULT_LIMIT if said.cache_mb is None else said.cache_mb * 1_000_000
    return Wanted(
        tuple(terms),
        settings,
        held_out,
        bool(said.dropout),
        said.train_tables,
        True if said.controls is None else said.controls,
        limit,
        "rationale" if reasons else "text-generation" if task == GENERATION else "plain-text",
        True if said.repair is None else said.repair,
    )


def labelled_form(task: str) -> str | None:
    """The form of data with labels for a task; None where its labels are of no use here."""
    return "text-classification" if task == "text-classification" else None


def has_own_labels(task: str) -> bool:
    """Whether texts alone hold what is to be guessed."""
    return task in (GENERATION, MASKED)
