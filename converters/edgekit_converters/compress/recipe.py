"""The recipe of several stages: ``[[stages]]`` in order, then ``[export]``.

[[stages]]
kind = "prune"
granularity = "ffn"
amount = 0.5

[[stages]]
kind = "quantize"
scheme = "int8-int4"

[export]
runtimes = ["executorch"]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.errors import EdgekitError, SpecError
from edgekit_converters import compress, recipe_file, request
from edgekit_converters.compress.step import Setting
from edgekit_converters.quantize import schemes

_LARGEST_FILE = 64 * 1024
_KEYS = ("stages", "export")
_EXPORT: dict[str, type] = {
    "target": str,
    "runtimes": list,
    "quantize": str,
    "delegate": str,
    "max_length": int,
    "max_context": int,
}
_WORDS = {str: "a text in quotes", int: "a whole number", list: "a list of texts"}
_TARGET = "android-arm64"


@dataclass(frozen=True)
class Stage:
    """One table of ``[[stages]]``.

    Attributes:
        number: from 1.
        kind: its name.
        module: the file of its kind.
        table: its other keys, as they stand.
        settled: what the kind made of them; None before they were checked.
    """

    number: int
    kind: str
    module: ModuleType
    table: dict[str, Any]
    settled: Any = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"stage {self.number}, {self.kind}"


@dataclass(frozen=True)
class Recipe:
    """A recipe, read.

    Attributes:
        path: of the file.
        stages: in order.
        export: options of the export.
    """

    path: Path
    stages: tuple[Stage, ...]
    export: dict[str, Any]


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say in every failure inside which stage it was; its class and exit status stay."""
    try:
        yield
    except EdgekitError as error:
        error.message = f"{where}: {error.message}"
        error.args = (error.message,)
        raise


def read(path: Path) -> Recipe:
    """Read a recipe; keys of single stages are judged by ``checked``.

    Raises:
        InputMissing, InputRefused, PermissionRefused: it cannot be had, or is not TOML.
        SpecError: no stages, an unknown kind or key, or an order that makes no sense.
    """
    found = recipe_file.read(path, _LARGEST_FILE, "docs/compress.md", 'kind = "prune"')
    _closed(found, _KEYS, path.name)
    listed = found.get("stages")
    if not isinstance(listed, list) or not listed or not all(isinstance(t, dict) for t in listed):
        raise SpecError(
            f"{path.name} has no list of stages",
            hint='Write [[stages]], then kind = "prune", once for each stage.',
        )
    stages = tuple(_stage(dict(table), number) for number, table in enumerate(listed, start=1))
    for stage in stages[:-1]:
        if stage.module.MUST_BE_LAST:
            raise SpecError(
                f"{stage.name} comes before stage {stage.number + 1}, which would make it void",
                hint=f"Put {stage.kind} last.",
            )
    return Recipe(path, stages, _export(found.get("export", {}), path))


def checked(recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe with every stage's keys settled, so that no mistake in one costs those before it.

    Raises:
        SpecError, Unsupported: as the stage itself would, with its name before.
    """
    stages = []
    bits: frozenset[int] = frozenset()
    for stage in recipe.stages:
        with named(stage.name):
            settled = stage.module.check(dict(stage.table), setting)
            if stage.module.bridges(settled):
                setting = replace(setting, bridged=True)
            if hasattr(stage.module, "bits"):
                bits |= stage.module.bits(settled)
        stages.append(replace(stage, settled=settled))
    with named("export"):
        _fits(recipe.export, bits, setting.original.task)
    return replace(recipe, stages=tuple(stages))


def asked(export: dict[str, Any], task: str) -> request.Request:
    """The export's options, settled.

    Raises:
        SpecError, Unsupported: as for an export.
    """
    words = ("runtimes", "quantize", "delegate", "max_context")
    given: dict[str, Any] = {name: export.get(name) for name in words}
    return request.check(export.get("target", _TARGET), task, **given)


def _fits(export: dict[str, Any], bits: frozenset[int], task: str) -> None:
    wanted = asked(export, task)
    if bits and "quantize" in export:
        raise SpecError(
            "a stage quantize and [export] quantize both say what weights become",
            hint="Leave one of them out.",
        )
    if bits:
        schemes.require(wanted.target, wanted.delegates, bits, "the recipe's plan")


def _stage(table: dict[str, Any], number: int) -> Stage:
    name = table.pop("kind", None)
    if not isinstance(name, str):
        raise SpecError(
            f"stage {number} has no kind", hint=f"kind is one of {', '.join(compress.names())}."
        )
    with named(f"stage {number}"):
        return Stage(number, name, compress.kind(name), table)


def _export(table: Any, path: Path) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise SpecError(f"{path.name}: export is no table", hint="Write [export] above its keys.")
    _closed(table, tuple(_EXPORT), f"{path.name}: [export]")
    for key, value in table.items():
        texts = not isinstance(value, list) or all(isinstance(one, str) for one in value)
        if type(value) is not _EXPORT[key] or not texts:
            raise SpecError(
                f"{path.name}: [export] {key} is {value!r}, not {_WORDS[_EXPORT[key]]}",
                hint="Correct the recipe.",
            )
    return dict(table)


def _closed(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            raise SpecError(
                f"{where}: unknown key {key!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Keys: {', '.join(keys)}.",
            )
