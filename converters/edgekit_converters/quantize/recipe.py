"""Recipes: a quantization in a TOML file, down to single tensors.

Example:
    scheme = "int8"
    data = "texts.txt"            # beside the recipe

    [[tensor]]
    match = "*.output.dense.weight"
    bits = 4
    group = 32
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from edgekit.errors import SpecError
from edgekit_converters import recipe_file
from edgekit_converters.quantize.plan import GROUPS, TABLE_BITS
from edgekit_converters.quantize.settings import Override

_LARGEST_FILE = 1024 * 1024
_KEYS = ("scheme", "scaling", "rounding", "group", "data", "tensor")
_TENSOR_KEYS = ("match", "bits", "group")
_T = TypeVar("_T", str, int)


@dataclass(frozen=True)
class Recipe:
    """What a recipe asks for; None where it says nothing.

    Attributes:
        scheme: a scheme's name.
        scaling: a method of ``quantize/scaling``, or ``none``.
        rounding: a method of ``quantize/rounding``.
        group: columns that share a scale where bits are fewer than 8.
        data: calibration texts; a relative path is taken from the recipe's own folder.
        overrides: word on single tensors, later ones win.
    """

    scheme: str | None = None
    scaling: str | None = None
    rounding: str | None = None
    group: int | None = None
    data: Path | None = None
    overrides: tuple[Override, ...] = ()


def read(path: Path) -> Recipe:
    """Read a recipe. Names of schemes and methods are judged where they are used.

    Raises:
        InputMissing: no such file.
        InputRefused: it is not UTF-8, not TOML, or too large.
        PermissionRefused: it may not be read.
        SpecError: a key is unknown, missing, or has a value that it cannot have.
    """
    found = recipe_file.read(path, _LARGEST_FILE, "docs/quickstart.md", 'scheme = "int8"')
    return checked(found, path)


def checked(data: dict[str, Any], path: Path) -> Recipe:
    """The recipe in a table that was read already.

    Args:
        data: the keys, see ``Recipe``; ``tensor`` is a list of tables.
        path: of the file, for the place of ``data`` and to name it where something is wrong.

    Raises:
        SpecError: a key is unknown, missing, or has a value that it cannot have.
    """
    _closed(data, _KEYS, path, "")
    tensors = data.get("tensor", [])
    if not isinstance(tensors, list) or not all(isinstance(entry, dict) for entry in tensors):
        raise SpecError(
            f"{path.name}: tensor is not a list of tables", hint="Write [[tensor]] above each."
        )
    at = _Place(path, data, "")
    file = at.get("data", str)
    return Recipe(
        scheme=at.get("scheme", str),
        scaling=at.get("scaling", str),
        rounding=at.get("rounding", str),
        group=at.get("group", int, group_width),
        data=None if file is None else path.parent / file,
        overrides=tuple(_override(path, entry, n) for n, entry in enumerate(tensors, 1)),
    )


def group_width(value: int) -> str:
    """Why a width cannot be a group's; empty when it can."""
    return "" if value in GROUPS else f"a group has {', '.join(map(str, GROUPS))} columns"


def _override(path: Path, entry: dict[str, Any], number: int) -> Override:
    place = f"[[tensor]] {number}: "
    _closed(entry, _TENSOR_KEYS, path, place)
    at = _Place(path, entry, place)
    match, bits = at.get("match", str), at.get("bits", int, _width)
    for key, value in (("match", match), ("bits", bits)):
        if value is None:
            raise SpecError(
                f"{path.name}: {place}{key} is missing",
                hint="Each [[tensor]] needs match and bits; group is optional.",
            )
    assert match is not None
    assert bits is not None
    group = at.get("group", int, group_width)
    if group is not None and bits not in (4, 2):
        raise SpecError(
            f"{path.name}: {place}group has no meaning with {bits} bits",
            hint="Leave group out: 8-bit weights have one scale a row.",
        )
    return Override(match, bits, group)


def _width(value: int) -> str:
    return "" if value in TABLE_BITS else f"bits are {', '.join(map(str, sorted(TABLE_BITS)))}"


@dataclass(frozen=True)
class _Place:
    """One table of the file, to read keys from."""

    path: Path
    data: dict[str, Any]
    prefix: str

    def get(self, key: str, kind: type[_T], fault: Callable[[_T], str] | None = None) -> _T | None:
        """The key's value, of this very type; None when the key is not there."""
        if key not in self.data:
            return None
        value, where = self.data[key], f"{self.path.name}: {self.prefix}{key}"
        if type(value) is not kind:  # true and false are integers to Python
            words = {str: "a text in quotes", int: "a whole number"}
            raise SpecError(f"{where} is {value!r}, not {words[kind]}", hint="Correct the recipe.")
        reason = fault(value) if fault is not None else "" if value else "it is empty"
        if reason:
            raise SpecError(f"{where} is {value!r}: {reason}", hint="Correct the recipe.")
        return value


def _closed(data: dict[str, Any], keys: tuple[str, ...], path: Path, prefix: str) -> None:
    for key in data:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            raise SpecError(
                f"{path.name}: {prefix}unknown key {key!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Keys: {', '.join(keys)}.",
            )
