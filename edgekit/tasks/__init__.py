"""What a task means to a user: which rows of the output count, when two outputs agree, the answer.

One task a file; the file's name is the task's. Each module gives:

- ``AGREEMENT``: what "the same answer" means, in words.
- ``rows(output, input_ids, context)``: the part of an output that is compared, ``(rows, dim)``.
- ``agreement(reference, other)``: share of samples (0..1) with the same answer; both are lists of
  what ``rows`` returned, one entry a sample.
- ``answer(output, input_ids, text, context)``: one text's result as JSON-able data.

These run on numpy alone: the same code serves export, verify, run and a phone's replies.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import SpecError

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


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


class Task(Protocol):
    """The interface of a module in this package."""

    __name__: str
    AGREEMENT: str

    def rows(self, output: Floats, input_ids: Ids, context: Context) -> Floats: ...  # noqa: D102

    def agreement(self, reference: list[Floats], other: list[Floats]) -> float: ...  # noqa: D102

    def answer(  # noqa: D102
        self, output: Floats, input_ids: Ids, text: str, context: Context
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
