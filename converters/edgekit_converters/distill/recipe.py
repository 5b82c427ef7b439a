"""A distillation recipe: a TOML file with settings, and losses with weights and settings.

steps = 500
batch = 32
learning_rate = 1e-4

[[losses]]
name = "relations"
weight = 1.0
heads = 12

[[losses]]
name = "similarity"
weight = 0.5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edgekit.errors import SpecError
from edgekit_converters import recipe_file
from edgekit_converters.distill import losses
from edgekit_converters.distill.losses import Term

_LARGEST_FILE = 64 * 1024


@dataclass(frozen=True)
class Recipe:
    """What a recipe or the command line says; None where nothing was said.

    Attributes:
        losses: the terms.
        layers: how many to keep, or which: ``3`` or ``0,3,5``.
        steps: updates of the weights.
        batch: rows of one update.
        accumulate: parts that a batch is computed in.
        learning_rate: the largest.
        warmup: share of the steps.
        weight_decay: of AdamW.
        evaluate_every: steps between two looks at the held-out rows.
        patience: looks without a better loss after which training stops.
        max_length: most tokens of a text.
        held_out: share of the rows that are not trained on.
        dropout: leave the student's dropout on.
        train_tables: train the token table even where it is the teacher's.
        seed: of everything random.
        controls: train the controls too.
        cache_mb: most megabytes of kept teacher answers; 0 asks the teacher in each step.
        repair: refit the layers that stay to what the dropped ones did, where that helps.
    """

    losses: tuple[Term, ...] | None = None
    layers: str | None = None
    steps: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    learning_rate: float | None = None
    warmup: float | None = None
    weight_decay: float | None = None
    evaluate_every: int | None = None
    patience: int | None = None
    max_length: int | None = None
    held_out: float | None = None
    dropout: bool | None = None
    train_tables: bool | None = None
    seed: int | None = None
    controls: bool | None = None
    cache_mb: int | None = None
    repair: bool | None = None

    def over(self, other: Recipe) -> Recipe:
        """Both, where what this one says wins."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        rest = {f.name: getattr(other, f.name) for f in fields(self)}
        return Recipe(**{name: rest[name] if v is None else v for name, v in said.items()})


_TYPES: dict[str, tuple[type, ...]] = {
    "layers": (int, str),
    "learning_rate": (float, int),
    "warmup": (float, int),
    "weight_decay": (float, int),
    "held_out": (float, int),
    "dropout": (bool,),
    "train_tables": (bool,),
    "controls": (bool,),
    "repair": (bool,),
}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def read(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputMissing: no such file.
        InputRefused: it is not UTF-8, not TOML, or far too large.
        PermissionRefused: it may not be read.
        SpecError: an unknown key, loss or setting, or a value of the wrong type.
    """
    found = recipe_file.read(path, _LARGEST_FILE, "docs/distillation.md", 'name = "relations"')
    return checked(found, path)


def checked(found: Mapping[str, Any], path: Path) -> Recipe:
    """The recipe in a table that was read already.

    Args:
        found: the keys, see ``Recipe``.
        path: of the file, to name it where something is wrong.

    Raises:
        SpecError: an unknown key, loss or setting, or a value of the wrong type.
    """
    data = dict(found)
    terms = data.pop("losses", None)
    known = [field.name for field in fields(Recipe) if field.name != "losses"]
    for key, value in data.items():
        if key not in known:
            near = get_close_matches(key, [*known, "losses"], n=1)
            raise SpecError(
                f"{path.name}: unknown key {key!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Keys: {', '.join(known)}, losses.",
            )
        types = _TYPES.get(key, (int,))
        if type(value) not in types:
            words = " or ".join(_WORDS[kind] for kind in types)
            raise SpecError(f"{path.name}: {key} is {value!r}, not {words}", hint="Correct it.")
    if isinstance(data.get("layers"), int):
        data["layers"] = str(data["layers"])
    return Recipe(losses=_terms(terms, path), **data)


def _terms(listed: Any, path: Path) -> tuple[Term, ...] | None:
    if listed is None:
        return None
    if not isinstance(listed, list) or not listed or not all(isinstance(t, dict) for t in listed):
        raise SpecError(
            f"{path.name}: losses is not a list of tables",
            hint='Write [[losses]], then name = "cosine", and perhaps weight = 1.0.',
        )
    return tuple(_term(dict(one), path) for one in listed)


def _term(table: dict[str, Any], path: Path) -> Term:
    name, weight = table.pop("name", None), table.pop("weight", 1.0)
    if not isinstance(name, str):
        raise SpecError(
            f"{path.name}: a table of losses has no name",
            hint=f"One of {', '.join(losses.names())}.",
        )
    if type(weight) not in (int, float):
        raise SpecError(
            f"{path.name}: the weight of {name} is {weight!r}", hint="A number above 0."
        )
    # A rationale has a weight of its own beside the label's.
    return losses.term(name, float(weight), table)


def said(options: Mapping[str, Any]) -> Recipe:
    """Options by name, as the command line and Python give them; None where nothing was said.

    Raises:
        SpecError: there is no such option, or it is of the wrong type.
    """
    given = {name: value for name, value in options.items() if value is not None}
    text = given.pop("loss", None)
    known = [field.name for field in fields(Recipe) if field.name not in ("losses", "layers")]
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, [*known, "loss"], n=1)
            raise SpecError(
                f"unknown option {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Options: {', '.join(known)}.",
            )
        types = _TYPES.get(name, (int,))
        if type(value) not in types:
            words = " or ".join(_WORDS[kind] for kind in types)
            raise SpecError(f"{name} is {value!r}, not {words}", hint="Correct it.")
    terms = None if text is None else tuple(losses.parse(str(text)))
    return Recipe(losses=terms, **given)
