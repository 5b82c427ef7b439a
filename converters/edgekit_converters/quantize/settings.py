"""From a scheme to one setting for each tensor, with a reason wherever it had to give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from edgekit.errors import SpecError
from edgekit_converters.quantize.plan import (
    FP32,
    GROUPS,
    LINEAR_BITS,
    NOT_ASKED,
    TABLE_BITS,
    Setting,
    Unit,
    stored_bytes,
)

# Below this a table saves next to nothing (the two rows that tell texts apart, mostly).
SMALLEST_TABLE = 1 << 12


@dataclass(frozen=True)
class Override:
    """A recipe's word on the tensors whose name matches a pattern.

    Attributes:
        match: shell pattern over the tensors' names.
        bits: 32, 8, 4 or 2.
        group: columns that share a scale; None for what fits.
    """

    match: str
    bits: int
    group: int | None = None


@dataclass(frozen=True)
class Choice:
    """What a scheme asks of linears and of tables.

    Attributes:
        linear: bits of the linears' weights.
        table: bits of the embedding tables.
        group: columns that share a scale where bits are fewer than 8; the preferred width. None
            for the truest, and where bits are searched for what fits the budget best.
        overrides: later ones win.
    """

    linear: int
    table: int
    group: int | None = None
    overrides: Sequence[Override] = field(default=())


def settle(units: Sequence[Unit], choice: Choice) -> dict[str, Setting]:
    """One setting for each unit.

    Raises:
        SpecError: an override matches no tensor, or asks for bits that no kernel has.
    """
    for override in choice.overrides:
        if not any(_matches(unit, override.match) for unit in units):
            names = ", ".join(unit.name for unit in units[:3])
            raise SpecError(
                f"the pattern {override.match!r} matches no tensor",
                hint=f"The model's tensors: {names}, ...; edgekit inspect --ledger lists them.",
            )
    return {unit.name: _settle(unit, choice) for unit in units}


def _matches(unit: Unit, pattern: str) -> bool:
    """By the ledger's name of a tensor, or by the checkpoint's, which has no wrapper before it.

    A ledger names the two parts of a linear apart; they have one setting.
    """
    whole = pattern.removesuffix("_outliers").removesuffix("_rest")
    return any(fnmatchcase(name, whole) for name in (unit.name, unit.name.removeprefix("model.")))


def _settle(unit: Unit, choice: Choice) -> Setting:
    bits = choice.linear if unit.kind == "linear" else choice.table
    group: int | None = None
    asked = False
    for override in choice.overrides:
        if _matches(unit, override.match):
            bits, group, asked = override.bits, override.group, True
    known = LINEAR_BITS if unit.kind == "linear" else TABLE_BITS
    if bits not in known:
        raise SpecError(
            f"{unit.name}: no kernel for a {unit.kind} with {bits} bits",
            hint=f"A {unit.kind} takes: {', '.join(map(str, known))}.",
        )
    if bits == FP32:
        return Setting(FP32, reason=NOT_ASKED)
    if unit.kind == "table" and 4 * unit.elements < SMALLEST_TABLE and not asked:
        return Setting(FP32, reason=f"a table under {SMALLEST_TABLE} bytes")
    found = Setting(8) if bits == 8 else _grouped(unit, bits, group or choice.group or GROUPS[0])
    if stored_bytes(unit, found) >= 4 * unit.elements:
        return Setting(FP32, reason=f"{unit.columns} wide: scales take more than rounding saves")
    return found


def _grouped(unit: Unit, bits: int, wanted: int) -> Setting:
    """The wanted group where it divides the width, else the next narrower, else 8 bits."""
    fits = [group for group in GROUPS if unit.columns % group == 0]
    if wanted in fits:
        return Setting(bits, wanted)
    narrower = [group for group in fits if group < wanted] or fits
    if narrower:
        group = narrower[-1] if narrower[-1] < wanted else narrower[0]
        return Setting(bits, group, f"{wanted} does not divide {unit.columns}")
    named = ", ".join(map(str, GROUPS))
    return Setting(8, 0, f"none of {named} divides {unit.columns}: 8 bits instead of {bits}")
