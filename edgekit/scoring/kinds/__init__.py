"""Kinds of data: which columns a row has, what is asked for it, what is noted of the answer.

One kind a file. Each module gives:

- ``TASKS``: the tasks whose models it scores.
- ``COLUMNS``: needed column -> what it holds, in words; ``OPTIONAL``: the same for what may be.
- ``fields(context)``: names of the numbers in a mark.
- ``metrics(context)``: figures over marks, the main one first.
- ``score(row, asked)``: a generator that yields inputs of the model, is sent the output of each,
  and returns a ``Mark``. Malformed rows are refused before a text is read.
- ``texts(row)``: what the row says, for slices; ``PERTURBED``: text columns that a robustness test
  may change without changing the truth; ``SEARCHES``, where it is there, that the rows are queries
  to a corpus.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol, cast

from edgekit.columns import Row
from edgekit.errors import InputRefused, SpecError, Unsupported
from edgekit.runtime import Floats
from edgekit.runtime.encode import Encoder, Inputs
from edgekit.scoring.corpus import Corpus
from edgekit.scoring.metrics import Metric
from edgekit.tasks import Context, Task


@dataclass(frozen=True)
class Mark:
    """What is kept of one row.

    Attributes:
        numbers: as ``fields`` names them.
        shown: the answer in a few words.
        wanted: the truth in a few words.
        right: whether the answer counts as right; None where there is no such thing.
    """

    numbers: tuple[float, ...]
    shown: str
    wanted: str
    right: bool | None = None


@dataclass(frozen=True)
class Asked:
    """Who is asked: a task, a tokenizer bound to a signature, and what queries search in."""

    task: Task
    encoder: Encoder
    corpus: Corpus | None = None

    @cached_property
    def context(self) -> Context:
        """Labels, tokens and the mask token of the model; one answer is asked for."""
        return replace(self.encoder.context, top_k=1)


Scoring = Generator[Inputs, Floats, Mark]


class Kind(Protocol):
    """The interface of a module in this package."""

    __name__: str
    TASKS: Sequence[str]
    COLUMNS: Mapping[str, str]
    OPTIONAL: Mapping[str, str]
    PERTURBED: Sequence[str]

    def fields(self, context: Context) -> tuple[str, ...]: ...  # noqa: D102

    def metrics(self, context: Context) -> tuple[Metric, ...]: ...  # noqa: D102

    def score(self, row: Row, asked: Asked) -> Scoring: ...  # noqa: D102

    def texts(self, row: Row) -> str: ...  # noqa: D102


def names() -> list[str]:
    """Every kind's name."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(stem for stem in found if not stem.startswith("_"))


@cache
def kind(name: str) -> Kind:
    """The kind called ``name``, one of ``names()``."""
    return cast(Kind, importlib.import_module(f"{__name__}.{name}"))


def kind_name(of: Kind) -> str:
    """A kind's name, as people read it."""
    return of.__name__.rpartition(".")[2].replace("_", " ")


def chosen(task: str, problem: str | None, row: Row) -> Kind:
    """The kind of data that a file holds, from its columns.

    Args:
        task: of the model.
        problem: transformers' problem_type of a classifier.
        row: the file's first.

    Raises:
        Unsupported: nothing scores such a model.
        InputRefused: needed columns are missing; the nearest names are told.
    """
    fitting = [kind(name) for name in names() if _fits(kind(name), task, problem)]
    if not fitting:
        scored = sorted({name for each in names() for name in kind(each).TASKS})
        raise Unsupported(
            f"there is no score for {task}",
            hint=f"Scored are: {', '.join(scored)}. edgekit verify compares outputs of any task.",
        )
    for one in fitting:
        if one.COLUMNS.keys() <= row.values.keys():
            return one
    raise _no_columns(fitting, row, task)


def _fits(one: Kind, task: str, problem: str | None) -> bool:
    problems = getattr(one, "PROBLEMS", None)
    return task in one.TASKS and (problems is None or problem in problems)


def _no_columns(fitting: Sequence[Kind], row: Row, task: str) -> InputRefused:
    """What is missing, against the kind that lacks least."""
    have = sorted(row.values)
    best = min(fitting, key=lambda one: len(one.COLUMNS.keys() - row.values.keys()))
    lacking = [name for name in best.COLUMNS if name not in row.values]
    near = {name: get_close_matches(name, have, n=1, cutoff=0.5) for name in lacking}
    guesses = [f"rename {close[0]!r} to {name!r}" for name, close in near.items() if close]
    shapes = "; or ".join(
        ", ".join(f"{n} ({t})" for n, t in one.COLUMNS.items()) for one in fitting
    )
    return InputRefused(
        f"{row.file} has no column {', '.join(lacking)}; it has {', '.join(have)}",
        hint=(f"Perhaps {', '.join(guesses)}. " if guesses else "")
        + f"For {task} a row needs: {shapes}.",
        missing=lacking,
        columns=have,
    )


def require_labels(context: Context, what: str) -> tuple[str, ...]:
    """The model's labels.

    Raises:
        SpecError: it has none.
    """
    if not context.labels:
        raise SpecError(f"the model has no labels to score {what} with", hint="Check config.json.")
    return tuple(context.labels)
