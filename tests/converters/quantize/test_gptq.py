"""GPTQ: the algorithm itself, what it gains, and grids that survive being found again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import gptq, nearest, scales
from tests.converters.quantize.test_nearest import FORMS, found_again, of_rows


def correlated(tokens: int, columns: int, seed: int) -> Tensor:
    """Activations whose channels share a few causes, and whose sizes differ by a decade."""
    made = torch.Generator().manual_seed(7)
    mixing = torch.randn(columns // 4, columns, generator=made)
    size = torch.logspace(-0.5, 0.5, columns)[torch.randperm(columns, generator=made)]
    made.manual_seed(seed)
    causes = torch.randn(tokens, columns // 4, generator=made)
    return (causes @ mixing + 0.3 * torch.randn(tokens, columns, generator=made)) * size


def weights(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(3))


def output_error(grid: Grid, weight: Tensor, rows: Tensor) -> float:
    return float(((grid.dequantized() - weight) @ rows.T).square().mean())


def plain(weight: Tensor, bits: int, step: Tensor, hessian: Tensor) -> Tensor:
    """The method as first written: one column after another, the inverse shrunk after each."""
    work, inverse = weight.double().clone(), torch.linalg.inv(hessian.double())
    grouped = weight.reshape(len(weight), step.shape[1], -1)
    reach = torch.maximum(grouped / highest(bits), grouped / lowest(bits))
    ends = (reach == reach.amax(2, keepdim=True)).reshape(weight.shape)
    wide = weight.shape[1] // step.shape[1]
    values = torch.zeros_like(work)
    for column in range(weight.shape[1]):
        scale = step[:, column // wide].double()
        value = torch.round(work[:, column] / scale).clamp(lowest(bits), highest(bits))
        end = torch.where(weight[:, column] > 0, highest(bits), lowest(bits)).double()
        values[:, column] = torch.where(ends[:, column], end, value)
        error = (work[:, column] - values[:, column] * scale) / inverse[column, column]
        work -= error[:, None] * inverse[column][None]
        inverse = (
            inverse - torch.outer(inverse[:, column], inverse[column]) / inverse[column, column]
        )
        inverse[column, column] = 1.0  # done with; keeps the next divisions finite
    return values


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 20)])
def test_the_integers_are_those_of_the_plain_algorithm(bits: int, group: int) -> None:
    # More columns than a block, so that errors cross from one to the next.
    weight, seen = weights(6, 300), of_rows(correlated(900, 300, 0))
    grid = gptq.fit(weight, bits, group, seen, damping=0.01, by_size=False)
    damped = seen.gram + torch.eye(300) * 0.01 * seen.gram.diagonal().mean()
    step = scales.choose(weight, bits, group, seen.gram.diagonal())
    expected = plain(weight, bits, step, damped)
    # One number on the edge between two integers moves all that come after it in its row.
    assert float((grid.values == expected).double().mean()) > 0.97
    assert int((grid.values - expected).abs().max()) <= 1


@pytest.mark.parametrize(("bits", "group"), FORMS)
@pytest.mark.parametrize("by_size", [True, False])
def test_less_output_error_than_nearest_on_new_text(bits: int, group: int, by_size: bool) -> None:
    weight, seen = weights(32, 96), of_rows(correlated(2000, 96, 0))
    unseen = correlated(500, 96, 1)
    found = gptq.fit(weight, bits, group, seen, by_size=by_size)
    baseline = nearest.fit(weight, bits, group, seen)
    assert torch.equal(found.scales, baseline.scales)
    assert output_error(found, weight, unseen) < 0.6 * output_error(baseline, weight, unseen)


@pytest.mark.parametrize(("bits", "group"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scales_are_found_again(bits: int, group: int, dtype: torch.dtype) -> None:
    seen = of_rows(correlated(400, 96, 0))
    grid = gptq.fit(weights(32, 96), bits, group, seen, scale_dtype=dtype)
    assert torch.equal(grid.scales, grid.scales.to(dtype).to(torch.float32))
    assert torch.allclose(found_again(grid), grid.scales, rtol=1e-6, atol=0)
    assert int(grid.values.min()) >= lowest(bits)
    assert int(grid.values.max()) <= highest(bits)


def test_fewer_tokens_than_channels() -> None:
    weight, rows = weights(32, 256), correlated(20, 256, 0)
    found = gptq.fit(weight, 8, 0, of_rows(rows))
    assert output_error(found, weight, rows) < output_error(nearest.fit(weight, 8, 0), weight, rows)
    unseen = correlated(500, 256, 1)
    baseline = output_error(nearest.fit(weight, 8, 0), weight, unseen)
    assert output_error(found, weight, unseen) < 2 * baseline


def test_channels_that_calibration_never_saw() -> None:
    weight, rows = weights(16, 64), correlated(400, 64, 0)
    dead = torch.arange(64) % 5 == 0
    rows[:, dead] = 0
    found = gptq.fit(weight, 8, 0, of_rows(rows))
    baseline = nearest.fit(weight, 8, 0)
    assert torch.equal(found.values[:, dead], baseline.values[:, dead])
    assert not torch.equal(found.values[:, ~dead], baseline.values[:, ~dead])
    nothing = gptq.fit(weight, 8, 0, of_rows(torch.zeros(4, 64)))
    assert torch.equal(nothing.values, baseline.values)


def test_zero_rows_and_outliers() -> None:
    weight, rows = weights(6, 64), correlated(400, 64, 0)
    weight[0] = 0
    weight[1, 5] = 1e4
    weight[2, :32] = 0
    rows[:, 9] *= 1e4
    for bits, group in FORMS:
        found = gptq.fit(weight, bits, group, of_rows(rows), scale_dtype=torch.bfloat16)
        assert bool(torch.isfinite(found.dequantized()).all())
        assert not found.values[0].any()
        assert float(found.dequantized()[2, :16].abs().max()) < (1.0 if group == 0 else 1e-9)


def test_the_same_twice() -> None:
    seen = of_rows(correlated(300, 64, 0))
    one, other = (gptq.fit(weights(8, 64), 4, 32, seen) for _ in range(2))
    assert torch.equal(one.values, other.values)
    assert torch.equal(one.scales, other.scales)


def test_refusals() -> None:
    weight, rows = weights(4, 48), correlated(100, 48, 0)
    seen = of_rows(rows)
    with pytest.raises(ValueError, match="needs the moments"):
        gptq.fit(weight, 8, 0, None)
    with pytest.raises(ValueError, match="48 columns need finite moments"):
        gptq.fit(weight, 8, 0, of_rows(rows[:, :32]))
    with pytest.raises(ValueError, match="finite moments"):
        gptq.fit(weight, 8, 0, of_rows(rows * float("nan")))
    with pytest.raises(ValueError, match="groups of 32 do not divide 48"):
        gptq.fit(weight, 4, 32, seen)
    with pytest.raises(ValueError, match=r"row 2 .* not finite"):
        gptq.fit(weight.index_fill(0, torch.tensor([2]), float("inf")), 8, 0, seen)
    against = seen.gram.clone()
    against[0, 1] = against[1, 0] = -1e9
    with pytest.raises(ValueError, match="negative direction"):
        gptq.fit(weight, 8, 0, Moments(seen.count, seen.peak, seen.size, against, rows))
