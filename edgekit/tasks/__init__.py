"""What a task means to a user: what goes in, which rows of the output count, when two outputs
agree, the answer.

One task a file; the file's name is the task's. Each module gives:

- ``AGREEMENT``: what "the same answer" means, in words.
- ``TAKES``: what a query has besides its text, and whether it must.
- ``rows(output, input_ids, context)``: the part of an output that is compared, ``(rows, dim)``.
- ``agreement(reference, other)``: share of samples (0..1) with the same answer; both are lists of
  what ``rows`` returned, one entry a sample.
- ``answer(runs, query, context)``: one query's result as JSON-able data.
- ``pairs(query, context)`` where more than the text alone goes through the graph, and
  ``WINDOWS = True`` where a second text that is too long is read in overlapping parts.

These run on numpy alone: the same code serves export, verify, run and a phone's replies.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import SpecError

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Pair = tuple[str, str | None]

# Stands between the two texts of a sample's line.
SEPARATOR = "\t"


@dataclass(frozen=True)
class Context:
    """What a task needs to know of a model to give an answer.

    Attributes:
        labels: class names by index, for classifiers.
        problem: transformers' problem_type of a classifier.
        mask_token_id: the id of the mask token, where the tokenizer has one.
        tokens: id -> token text.
    """

    labels: tuple[str, ...] = ()
    problem: str | None = None
    mask_token_id: int | None = None
    tokens: Sequence[str] = field(default_factory=tuple)
    top_k: int = 5


@dataclass(frozen=True)
class Query:
    """What one answer is asked for.

    Attributes:
        text: the text, or the question.
        context: a second text: the passage that holds the answer, or the other one of a pair.
        labels: what a text may be about, for a classifier that is not trained for them.
        choices: what may follow the text.
        template: makes a sentence of a label, which stands for ``{}``.
        multi_label: whether several labels can be true at once.
        aggregation: how tokens become entities: ``first`` (a word has the label of its first
            token) or ``simple`` (each token has its own).
    """

    text: str
    context: str | None = None
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    template: str = "This example is {}."
    multi_label: bool = False
    aggregation: str = "first"


@dataclass(frozen=True)
class Run:
    """One pass through the graph, without what padding added.

    Attributes:
        output: as in the signature.
        ids: token ids, ``(1, tokens)``.
        offsets: first and last character of each token in its own text, the last not included.
        words: which word of its text each token belongs to; None for special tokens.
        sequences: 0 for tokens of the first text, 1 for the second, None for special ones.
    """

    output: Floats
    ids: Ids
    offsets: tuple[tuple[int, int], ...] = ()
    words: tuple[int | None, ...] = ()
    sequences: tuple[int | None, ...] = ()


class Task(Protocol):
    """The interface of a module in this package."""

    __name__: str
    AGREEMENT: str
    TAKES: Mapping[str, bool]

    def rows(self, output: Floats, input_ids: Ids, context: Context) -> Floats: ...  # noqa: D102

    def agreement(self, reference: list[Floats], other: list[Floats]) -> float: ...  # noqa: D102

    def answer(  # noqa: D102
        self, runs: Sequence[Run], query: Query, context: Context
    ) -> dict[str, Any]: ...


def names() -> list[str]:
    """Every task's name, as people write it."""
    folder = Path(__file__).parent
    found = (path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    return sorted(stem.replace("_", "-") for stem in found)


def task(name: str) -> Task:
    """The task called ``name``.

    Raises:
        SpecError: there is none of that name; the nearest is suggested.
    """
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise SpecError(
            f"unknown task {name!r}",
            hint=(f"Did you mean {near[0]!r}? " if near else "") + f"Tasks: {', '.join(known)}.",
        )
    return cast(Task, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def pairs(of: Task, query: Query, context: Context) -> list[Pair]:
    """What goes through the graph for a query, one pair of texts a pass."""
    found = getattr(of, "pairs", None)
    return [(query.text, None)] if found is None else list(found(query, context))


def takes_windows(of: Task) -> bool:
    """Whether a second text that is too long is read in parts."""
    return bool(getattr(of, "WINDOWS", False))


def check(of: Task, given: Mapping[str, Any]) -> None:
    """Refuse a query's fields that the task has no use for, and miss those that it needs.

    Args:
        of: the task.
        given: fields of ``Query`` by name, without the text.

    Raises:
        SpecError: one is not known, not taken, or missing.
    """
    name = of.__name__.rpartition(".")[2].replace("_", "-")
    known = {known.name for known in fields(Query)}
    for field_name, value in given.items():
        if isinstance(value, str) and field_name in ("labels", "choices"):
            raise SpecError(f"{field_name} is one string", hint=f"Pass a list: [{value!r}].")
        if field_name not in known or (value and field_name not in of.TAKES):
            taken = ", ".join(of.TAKES) or "nothing but texts"
            raise SpecError(
                f"{name} takes no {field_name.replace('_', ' ')}", hint=f"It takes {taken}."
            )
    for field_name, needed in of.TAKES.items():
        if needed and not given.get(field_name):
            raise SpecError(
                f"{name} needs {field_name}",
                hint=f"Give it with --{field_name}, or in Python as {field_name}=...",
            )


def halves(name: str, line: str) -> Pair:
    """A sample's line as a task reads it: two texts with a tab between them, or one."""
    if task(name).TAKES.keys() & {"context", "labels", "choices"} and SEPARATOR in line:
        first, _, second = line.partition(SEPARATOR)
        return first, second
    return line, None


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax over the last axis, in float64."""
    wide = logits.astype(np.float64)
    exp = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))
