"""Task packs: small data sets for the uses of small models, made by scripts from a seed.

A pack is a file of this package: its templates and words, what is measured, and a card that says
what the score means. The sentences are edgekit's own; templates of train, dev and test differ.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast

from edgekit.errors import SpecError

Row = dict[str, Any]
_NOT_PACKS = {"__init__", "make", "templates"}


class Rows(Protocol):
    """Makes one row of a split."""

    def __call__(self, draw: Random, split: str) -> Row:
        """A row; the same draws give the same row."""


@dataclass(frozen=True)
class Pack:
    """A pack.

    Attributes:
        name: its file's name.
        title: one line.
        task: a name of the tasks that a model can be tuned for.
        metric: what is scored.
        budget: a quality and size worth reaching, in words.
        sizes: rows of each split.
        keys: columns that tell rows apart: no two rows of a pack agree in all of them.
        card: what the score does and does not mean.
        row: makes one row.
    """

    name: str
    title: str
    task: str
    metric: str
    budget: str
    sizes: Mapping[str, int]
    keys: tuple[str, ...]
    card: str
    row: Rows


def names() -> tuple[str, ...]:
    """Every pack."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(name for name in found if name not in _NOT_PACKS))


def title(name: str) -> str:
    """A pack's first line, read without importing it."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def pack(name: str) -> Pack:
    """A pack by its name.

    Raises:
        SpecError: there is none of that name.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise SpecError(f"unknown pack {name!r}", hint=f"{meant}Packs: {', '.join(names())}.")
    module: Any = importlib.import_module(f"edgekit.packs.{name}")
    return Pack(
        name=name,
        title=title(name),
        task=module.TASK,
        metric=module.METRIC,
        budget=module.BUDGET,
        sizes=module.SIZES,
        keys=module.KEYS,
        card=module.CARD,
        row=cast("Rows", module.row),
    )
