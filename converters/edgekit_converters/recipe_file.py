"""Recipes as files: TOML, read whole or refused by what is wrong; keys are a stage's own matter."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgekit.errors import InputMissing, InputRefused, PermissionRefused


def read(path: Path, most: int, page: str, example: str) -> dict[str, Any]:
    """The tables of a recipe.

    Args:
        path: the file.
        most: bytes that it may have.
        page: of the documentation, for whoever has no recipe.
        example: a line as it should be, for whoever has a malformed one.

    Raises:
        InputMissing: no such file.
        InputRefused: it is not UTF-8, not TOML, or too large.
        PermissionRefused: it may not be read.
    """
    if not path.is_file():
        raise InputMissing(f"no recipe {path}", hint=f"Give a TOML file; see {page}.")
    try:
        with path.open("rb") as stream:
            raw = stream.read(most + 1)
    except OSError as error:
        raise PermissionRefused(
            f"{path} cannot be read: {error.strerror}", hint="Check its permissions."
        ) from error
    if len(raw) > most:
        raise InputRefused(f"{path} is over {most} bytes", hint="A recipe is a few lines.")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputRefused(
            f"{path} is not UTF-8 text: {error.reason}", hint="Save the recipe as UTF-8."
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputRefused(
            f"{path} is not TOML: {str(error)[:200]}", hint=f"Texts stand in quotes: {example}."
        ) from error
