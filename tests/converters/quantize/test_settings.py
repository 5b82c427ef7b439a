"""Settings: a scheme for every tensor, and a reason wherever it had to give way."""

from __future__ import annotations

import pytest

from edgekit.errors import SpecError
from edgekit_converters.quantize.plan import FP32, Setting, Unit, stored_bytes
from edgekit_converters.quantize.schemes import SCHEMES, scheme
from edgekit_converters.quantize.settings import SMALLEST_TABLE, Choice, Override, settle
from tests.support.refusals import refused


def linear(columns: int, rows: int = 64, name: str = "layer.0.dense.weight") -> Unit:
    return Unit(name, "linear", rows, columns, "activation", ("linear",))


def table(rows: int, columns: int = 64, name: str = "words.weight") -> Unit:
    return Unit(name, "table", rows, columns, "", ("embedding",))


def one(unit: Unit, choice: Choice) -> Setting:
    return settle([unit], choice)[unit.name]


def test_eight_bits_are_per_row_at_any_width() -> None:
    for columns in (7, 40, 384):
        assert one(linear(columns), Choice(8, 8)) == Setting(8)


def test_what_would_grow_is_left_alone() -> None:
    for unit in (linear(1), table(70_000, 1)):
        found = one(unit, Choice(8, 8))
        assert found.bits == FP32
        assert "1 wide" in found.reason


@pytest.mark.parametrize(
    ("columns", "wanted", "group"),
    [(384, 32, 32), (384, 128, 128), (576, 128, 64), (96, 128, 32), (1536, 64, 64)],
)
def test_the_group_divides_the_width(columns: int, wanted: int, group: int) -> None:
    found = one(linear(columns), Choice(4, 8, wanted))
    assert (found.bits, found.group) == (4, group)
    assert columns % found.group == 0
    assert bool(found.reason) == (group != wanted)
    if found.reason:
        assert str(columns) in found.reason


@pytest.mark.parametrize("columns", [40, 100, 33])
def test_a_width_that_defeats_every_group_gets_eight_bits_and_says_so(columns: int) -> None:
    for unit in (linear(columns), table(4096, columns)):
        found = one(unit, Choice(4, 4))
        assert (found.bits, found.group) == (8, 0)
        assert str(columns) in found.reason


def test_small_tables_are_left_with_the_reason() -> None:
    rows = SMALLEST_TABLE // (4 * 64)
    assert one(table(rows), Choice(8, 8)).bits == 8
    left = one(table(rows - 1), Choice(8, 8))
    assert left.bits == FP32
    assert str(SMALLEST_TABLE) in left.reason
    asked = Choice(8, 8, overrides=[Override("words*", 8)])
    assert one(table(rows - 1), asked).bits == 8


def test_nothing_is_asked_of_fp32() -> None:
    for unit in (linear(64), table(4096)):
        assert one(unit, SCHEMES["none"].choice()) == Setting(FP32, reason="not asked for")


def test_later_overrides_win_and_only_where_they_match() -> None:
    first, second = linear(64, name="layer.0.dense.weight"), linear(64, name="layer.1.dense.weight")
    overrides = [Override("layer.*", 4), Override("layer.1.*", FP32)]
    found = settle([first, second, table(4096)], Choice(8, 8, overrides=overrides))
    assert [setting.bits for setting in found.values()] == [4, FP32, 8]


def test_a_pattern_that_matches_nothing() -> None:
    choice = Choice(8, 8, overrides=[Override("layers.9.*", 4)])
    error = refused(SpecError, 64, "layers.9", lambda: settle([linear(64)], choice))
    assert "layer.0.dense.weight" in error.hint


def test_bits_without_a_kernel() -> None:
    for unit, bits in ((linear(64), 2), (linear(64), 3), (table(4096), 5)):
        choice = Choice(8, 8, overrides=[Override("*", bits)])
        refused(SpecError, 64, f"{bits} bits", lambda u=unit, c=choice: settle([u], c))


def test_schemes_by_name() -> None:
    assert scheme("auto").name == "int8"
    assert {found.better for found in SCHEMES.values()} <= {"", *SCHEMES}
    assert SCHEMES["none"].label == "fp32"
    refused(SpecError, 64, "int3", lambda: scheme("int3"))


def test_bytes_of_every_form() -> None:
    assert stored_bytes(linear(96, 10), Setting(FP32)) == 4 * 960
    assert stored_bytes(linear(96, 10), Setting(8)) == 960 + 10 * 4
    # Three groups of 32 a row, a scale of two bytes each.
    assert stored_bytes(linear(96, 10), Setting(4, 32)) == 480 + 10 * 3 * 2
    assert stored_bytes(table(100, 64), Setting(8)) == 6400 + 400
    assert stored_bytes(table(100, 64), Setting(4, 32)) == 3200 + 100 * 2 * 2
    assert stored_bytes(table(100, 64), Setting(2, 64)) == 1600 + 100 * 2
