"""Round to nearest: scales that kernels can represent, and can be found again from the floats."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgekit_converters.quantize.grid import SMALLEST_SCALE, Grid, highest, lowest
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import nearest, scales

FORMS = [(8, 0), (8, 32), (4, 0), (4, 32), (2, 16)]


def heavy_tailed(rows: int, columns: int, seed: int = 0) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=made) ** 3


def of_rows(rows: Tensor) -> Moments:
    return Moments(
        len(rows),
        rows.abs().amax(dim=0),
        rows.abs().mean(dim=0),
        rows.T @ rows / len(rows),
        rows,
    )


def found_again(grid: Grid) -> Tensor:
    """The scales, from nothing but the dequantized weights."""
    grouped = grid.dequantized().reshape(len(grid.values), grid.scales.shape[1], -1)
    up = grouped.amax(dim=2) / highest(grid.bits)
    return torch.maximum(up, grouped.amin(dim=2) / lowest(grid.bits))


@pytest.mark.parametrize(("bits", "group"), FORMS)
def test_every_weight_goes_to_the_nearest_integer(bits: int, group: int) -> None:
    weight = heavy_tailed(24, 96)
    grid = nearest.fit(weight, bits, group)
    assert grid.values.dtype is torch.int8
    assert grid.scales.dtype is torch.float32
    assert grid.group == (group or 96)
    assert grid.scales.shape == (24, 96 // grid.group)
    step = grid.scales.repeat_interleave(grid.group, dim=1)
    inside = weight.clamp(lowest(bits) * step, highest(bits) * step)
    assert bool(((grid.dequantized() - inside).abs() <= step * 0.5001).all())


@pytest.mark.parametrize(("bits", "group"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scales_are_found_again(bits: int, group: int, dtype: torch.dtype) -> None:
    grid = nearest.fit(heavy_tailed(24, 96), bits, group, scale_dtype=dtype)
    assert torch.equal(grid.scales, grid.scales.to(dtype).to(torch.float32))
    assert torch.allclose(found_again(grid), grid.scales, rtol=1e-6, atol=0)


def test_eight_bits_end_at_the_largest_weight() -> None:
    weight = heavy_tailed(8, 40)
    grid = nearest.fit(weight, 8, 0)
    assert torch.allclose(grid.scales[:, 0], weight.abs().amax(dim=1) / 127)
    assert int(grid.values.min()) >= -127
    assert torch.equal(grid.values.abs().amax(dim=1), torch.full((8,), 127, dtype=torch.int8))


@pytest.mark.parametrize(("bits", "gain"), [(4, 0.9), (2, 0.8)])
def test_few_bits_clip_where_that_is_better(bits: int, gain: float) -> None:
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    grid = nearest.fit(weight, bits, 32)
    grouped = weight.reshape(64, -1, 32)
    reach = torch.maximum(grouped.amax(2) / highest(bits), grouped.amin(2) / lowest(bits))
    step = reach[..., None]
    plain = (torch.round(grouped / step) * step).reshape(64, 128)
    squared, before = ((other - weight).square() for other in (grid.dequantized(), plain))
    # No group gets worse, and all together clearly better.
    better = squared.reshape(64, -1, 32).sum(2) <= before.reshape(64, -1, 32).sum(2) * 1.0001
    assert bool(better.all())
    assert float(squared.sum()) < gain * float(before.sum())


def test_moments_weigh_the_columns() -> None:
    weight = heavy_tailed(64, 64)
    rows = torch.randn(256, 64, generator=torch.Generator().manual_seed(1))
    rows[:, ::4] *= 20
    seen = of_rows(rows)

    def cost(grid: Grid) -> float:
        return float(((grid.dequantized() - weight).square() * seen.gram.diagonal()).sum())

    assert cost(nearest.fit(weight, 4, 32, seen)) < 0.9 * cost(nearest.fit(weight, 4, 32))
    same = nearest.fit(weight, 8, 0, seen)
    assert torch.equal(same.values, nearest.fit(weight, 8, 0).values)


@pytest.mark.parametrize(("bits", "group"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_hard_to_represent(bits: int, group: int, dtype: torch.dtype) -> None:
    weight = heavy_tailed(7, 64)
    weight[0] = 0
    weight[1] = 1e-38
    weight[2] = 1e-44
    weight[3] *= 1e36
    weight[4, 10] = 1e4
    weight[5, :32] = 0
    weight[6] = -3e38
    grid = nearest.fit(weight, bits, group, of_rows(torch.zeros(4, 64)), scale_dtype=dtype)
    found = grid.dequantized()
    assert bool(torch.isfinite(found[:6]).all())
    assert bool(torch.isfinite(grid.scales).all())
    assert float(grid.scales.min()) >= SMALLEST_SCALE
    assert not found[:3].any()
    assert not found[5, :32].any()
    assert float(found[4, 10]) == pytest.approx(1e4, rel=0.71)


def test_one_row_and_one_column() -> None:
    table = heavy_tailed(1, 12)
    grid = nearest.fit(table, 8, 0)
    assert torch.allclose(grid.dequantized(), table, atol=float(grid.scales) * 0.51)
    column = nearest.fit(heavy_tailed(12, 1), 4, 0)
    # The largest and only weight lies at the end of the range, whichever side that is.
    assert set(column.values.flatten().tolist()) <= {7, -8}


def test_a_large_table_is_worked_on_in_parts() -> None:
    table = heavy_tailed(5000, 256)
    assert table.numel() > scales._BLOCK
    whole = nearest.fit(table, 4, 32)
    part = nearest.fit(table[4000:4100], 4, 32)
    assert torch.equal(whole.values[4000:4100], part.values)
    assert torch.equal(whole.scales[4000:4100], part.scales)


@pytest.mark.parametrize(
    ("weight", "group", "told"),
    [
        (torch.ones(4, 48), 32, "groups of 32 do not divide 48 columns"),
        (torch.ones(4, 48), -16, "do not divide"),
        (torch.tensor([[1.0, 2.0], [1.0, float("nan")]]), 0, "row 1 .* not finite"),
        (torch.tensor([[float("inf"), 2.0]]), 0, "row 0 .* not finite"),
        (torch.ones(4), 0, r"shape \(4,\)"),
        (torch.ones(0, 4), 0, r"shape \(0, 4\)"),
    ],
)
def test_refusals(weight: Tensor, group: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nearest.fit(weight, 4, group)


@pytest.mark.parametrize("bits", [4, 2])
def test_a_table_may_be_upside_down(bits: int) -> None:
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    usual = nearest.fit(weight, bits, 32, scale_dtype=torch.bfloat16)
    table = nearest.fit_table(weight, bits, 32, torch.bfloat16)
    assert bool((table.scales < 0).any())
    assert bool((table.scales > 0).any())
    before, after = (
        (weight - grid.dequantized()).square().reshape(64, 4, -1).sum(2) for grid in (usual, table)
    )
    assert bool((after <= before).all())
    assert float(after.sum()) < 0.95 * float(before.sum())
    assert bool((nearest.fit_table(weight, 8, 0, torch.float32).scales > 0).all())
    # What a lookup stores is two bytes a scale, zeros or not.
    weight[3] = 0.0
    found = nearest.fit_table(weight, bits, 32, torch.bfloat16)
    assert found.halves is not None
    assert torch.isfinite(found.halves).all()
    assert torch.equal(found.dequantized()[3], torch.zeros(128))
