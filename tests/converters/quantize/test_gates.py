"""Gates: silence about what was left alone, or about its size, is refused."""

from __future__ import annotations

import pytest

from edgekit.errors import CoverageFailed, SizeFailed
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.ledger import Row, coverage, row, saved
from edgekit_converters.quantize.plan import FP32, Setting, Unit
from tests.support.refusals import refused


def rows(*settings: tuple[int, Setting]) -> list[Row]:
    return [
        row(Unit(f"layer.{i}.weight", "linear", size, 100, "x", ("linear",)), setting)
        for i, (size, setting) in enumerate(settings)
    ]


def test_coverage_is_by_bytes() -> None:
    found = rows((98, Setting(8)), (2, Setting(FP32, reason="no kernel")))
    assert coverage(found) == pytest.approx(0.98)
    gates.check_coverage(found)
    assert coverage([]) == 1.0


def test_below_the_floor_the_tensors_are_named() -> None:
    found = rows((97, Setting(8)), (3, Setting(FP32, reason="no kernel for it")))
    error = refused(CoverageFailed, 1, "layer.1.weight", lambda: gates.check_coverage(found))
    assert "no kernel for it" in error.message
    assert "97.0%" in error.message
    assert error.details["left"][0]["tensor"] == "layer.1.weight"


def test_what_was_asked_to_stay_fp32_does_not_count() -> None:
    asked = rows((10, Setting(8)), (90, Setting(FP32, reason="not asked for")))
    gates.check_coverage(asked)
    gates.check_coverage(rows((90, Setting(FP32, reason="not asked for"))))


def test_a_file_larger_than_its_ledger() -> None:
    found = rows((100_000, Setting(8)))
    expected = gates.forecast(50_000_000, found)
    assert expected == 50_000_000 - saved(found)
    gates.check_size("model.pte", expected, expected)
    gates.check_size("model.pte", int(expected * 1.019), expected)
    too_large = int(expected * 1.021) + 300_000
    error = refused(
        SizeFailed, 1, "model.pte", lambda: gates.check_size("model.pte", too_large, expected)
    )
    assert error.details == {"bytes": too_large, "forecast": expected}
