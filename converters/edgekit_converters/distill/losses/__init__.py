"""Losses, one method a file; a file's name is what ``--loss`` and a recipe call it.

Each module gives ``Config`` (a frozen dataclass), ``TASKS`` (which kinds of answers it is for:
``embedding``, ``classes``, ``tokens``), ``needs(config, student, teacher)`` (the names of
``outputs`` that it compares, for each model) and ``loss(student, teacher, batch, config, parts)``;
besides ``parts(config, student, teacher)`` where something is learned along and thrown away, and
``TEACHER = False`` where no teacher is asked.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor, nn

from edgekit.errors import SpecError
from edgekit_converters.distill.outputs import Batch, Outputs, Shape

Names = tuple[frozenset[str], frozenset[str]]


class LossModule(Protocol):
    """The interface of a module in this package."""

    Config: Any
    TASKS: tuple[str, ...]

    def needs(self, config: Any, student: Shape, teacher: Shape) -> Names: ...  # noqa: D102

    def loss(  # noqa: D102
        self,
        student: Outputs,
        teacher: Outputs,
        batch: Batch,
        config: Any,
        parts: nn.Module | None,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Term:
    """One loss of a recipe.

    Attributes:
        name: of a file in this package.
        weight: what it counts in the sum.
        config: its settings.
    """

    name: str
    weight: float
    config: Any

    @property
    def module(self) -> LossModule:
        """The module that computes it."""
        return _module(self.name)

    @property
    def teacher(self) -> bool:
        """Whether it asks the teacher."""
        return bool(getattr(self.module, "TEACHER", True))

    def record(self) -> dict[str, Any]:
        """The term as JSON-able data."""
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in self._items()}
        return {"name": self.name, "weight": self.weight, **settings}

    def _items(self) -> list[tuple[str, Any]]:
        return sorted(asdict(self.config).items())


@cache
def names() -> tuple[str, ...]:
    """Every loss, by its file."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(path.stem for path in files if not path.stem.startswith("_"))


def term(name: str, weight: float = 1.0, settings: Mapping[str, Any] | None = None) -> Term:
    """A loss by name.

    Raises:
        SpecError: no such loss or setting, or a value that it does not take.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        raise SpecError(
            f"unknown loss {name!r}",
            hint=f"Did you mean {near[0]!r}?" if near else f"Losses: {', '.join(names())}.",
        )
    if not 0.0 < weight < float("inf"):
        raise SpecError(f"the weight of {name} is {weight}", hint="A number above 0.")
    made = _module(name).Config
    known = {field.name: field.default for field in fields(made)}
    given = dict(settings or {})
    for key, value in given.items():
        if key not in known:
            listed = ", ".join(known) or "none"
            raise SpecError(f"{name} has no setting {key!r}", hint=f"Its settings: {listed}.")
        if not _fits(value, known[key]):
            raise SpecError(
                f"{name}: {key} is {json.dumps(value, default=str)}",
                hint=f"It is {known[key]!r} unless said otherwise.",
            )
        given[key] = tuple(value) if isinstance(value, list) else value
    try:
        return Term(name, float(weight), made(**given))
    except ValueError as error:
        raise SpecError(f"{name}: {error}", hint="Correct the setting.") from None


def parse(text: str) -> list[Term]:
    """Losses as the command line has them: ``relations,similarity=0.5``.

    Raises:
        SpecError: an unknown name, or a weight that is no number.
    """
    found = []
    for word in text.split(","):
        name, given, weight = word.strip().partition("=")
        try:
            found.append(term(name, float(weight) if given else 1.0))
        except ValueError:
            raise SpecError(
                f"the weight of {name} is {weight!r}", hint="For example --loss cosine=0.5."
            ) from None
    return found


def require(terms: Sequence[Term], kind: str, *, bridged: bool = False) -> None:
    """Refuse losses that do not go with the task.

    Args:
        terms: of the recipe.
        kind: ``embedding``, ``classes`` or ``tokens``.
        bridged: teacher and student cut texts into tokens differently.

    Raises:
        SpecError: one of them compares what such models do not have.
    """
    for one in terms:
        if kind not in one.module.TASKS:
            fitting = [name for name in names() if kind in _module(name).TASKS]
            raise SpecError(
                f"the loss {one.name} does not go with a model whose answer is {_ANSWERS[kind]}",
                hint=f"Losses that do: {', '.join(fitting)}.",
            )
        student, teacher = one.module.needs(one.config, Shape(2, 8, 2), Shape(2, 8, 2))
        token_wise = {name for name in student | teacher if name.partition(".")[0] != "embedding"}
        if bridged and (kind == "tokens" or token_wise - {"logits"}):
            raise SpecError(
                f"the loss {one.name} compares token by token, and the tokenizers differ",
                hint="Across tokenizers only whole texts compare: cosine, mse, similarity, or "
                "logits and labels of a classifier.",
            )


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(type(item) is int for item in value)
    return isinstance(value, type(default))


def _module(name: str) -> LossModule:
    return cast(LossModule, importlib.import_module(f"{__name__}.{name}"))


_ANSWERS = {
    "embedding": "one vector a text",
    "classes": "one class a text",
    "tokens": "something for each token",
}


def summaries() -> dict[str, str]:
    """Every loss with the first sentence of its documentation."""
    return {
        name: " ".join(str(_module(name).__doc__).split()).partition(" (")[0] for name in names()
    }
