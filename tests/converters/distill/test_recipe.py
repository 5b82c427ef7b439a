"""Recipes: what they say, what wins, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import EdgekitError, InputMissing, InputRefused, SpecError
from edgekit_converters.distill import recipe
from edgekit_converters.distill.recipe import Recipe

WHOLE = """
layers = 3
steps = 40
learning_rate = 1e-3
controls = false

[[losses]]
name = "relations"
weight = 2
heads = 4

[[losses]]
name = "similarity"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read(tmp_path: Path) -> None:
    found = recipe.read(written(tmp_path, WHOLE))
    assert (found.layers, found.steps, found.learning_rate) == ("3", 40, 1e-3)
    assert found.controls is False
    assert found.losses is not None
    assert [term.record() for term in found.losses] == [
        {"name": "relations", "weight": 2.0, "heads": 4, "layer": 0},
        {"name": "similarity", "weight": 1.0},
    ]


def test_what_is_said_wins(tmp_path: Path) -> None:
    said = recipe.said({"steps": 7, "loss": "cosine", "controls": None, "batch": None})
    found = said.over(recipe.read(written(tmp_path, WHOLE)))
    assert (found.steps, found.layers, found.controls, found.batch) == (7, "3", False, None)
    assert found.losses is not None
    assert [term.name for term in found.losses] == ["cosine"]
    assert Recipe().over(Recipe(steps=3)).steps == 3


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("step = 3", SpecError, "unknown key 'step'"),
        ("steps = true", SpecError, "a whole number"),
        ("steps = 1.5", SpecError, "a whole number"),
        ('controls = "no"', SpecError, "true or false"),
        ("losses = 3", SpecError, "not a list of tables"),
        ("[[losses]]\nweight = 1.0", SpecError, "no name"),
        ('[[losses]]\nname = "cosine"\nweight = "much"', SpecError, "weight"),
        ('[[losses]]\nname = "cosin"', SpecError, "unknown loss"),
        ('[[losses]]\nname = "logits"\nheat = 1', SpecError, "no setting"),
        ("steps = ", InputRefused, "not TOML"),
        ("# " + "x" * 70_000, InputRefused, "is over"),
    ],
)
def test_wrong_recipes_are_refused(
    tmp_path: Path, text: str, error: type[EdgekitError], word: str
) -> None:
    with pytest.raises(error, match=word) as caught:
        recipe.read(written(tmp_path, text))
    assert caught.value.hint


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        recipe.read(tmp_path / "none.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes('layers = "\xfc"'.encode("latin-1"))
    with pytest.raises(InputRefused, match="UTF-8"):
        recipe.read(path)


@pytest.mark.parametrize(
    ("options", "word"), [({"step": 3}, "unknown option"), ({"steps": "3"}, "a whole number")]
)
def test_wrong_options_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        recipe.said(options)
