"""SmoothQuant, AWQ, learned factors: what all scalings promise, and SmoothQuant's own formula."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.moments import Moments
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.scaling import smoothquant
from tests.converters.quantize.test_nearest import of_rows

METHODS = ("smoothquant", "awq", "learned")
Factors = Callable[[list[Tensor], Moments, int, int], Tensor]


def method(name: str) -> Factors:
    found: Factors = importlib.import_module(f"edgekit_converters.quantize.scaling.{name}").factors
    return found


def outlying(tokens: int, columns: int, seed: int = 0, size: float = 40.0) -> Tensor:
    """Activations with a few channels far larger than the rest, as after a layer norm."""
    rows = torch.randn(tokens, columns, generator=torch.Generator().manual_seed(seed))
    rows[:, [3, columns // 2]] *= size
    return rows


def weights(columns: int, *rows: int) -> list[Tensor]:
    made = torch.Generator().manual_seed(5)
    return [torch.randn(count, columns, generator=made) for count in rows]


def int8_error(
    tensors: list[Tensor], rows: Tensor, factors: Tensor, bits: int, group: int
) -> float:
    """Mean squared output error with weights and activations rounded."""
    total = 0.0
    for weight in tensors:
        grid = nearest.fit(weight * factors, bits, group)
        got = per_token(rows / factors) @ grid.dequantized().T
        total += float((got - rows @ weight.T).square().mean())
    return total


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 32), (4, 0)])
def test_the_product_stays(name: str, bits: int, group: int) -> None:
    tensors, rows = weights(64, 24, 16), outlying(300, 64)
    factors = method(name)(tensors, of_rows(rows), bits, group)
    assert factors.shape == (64,)
    assert factors.dtype is torch.float32
    assert not factors.requires_grad
    assert bool((factors > 0).all())
    for weight in tensors:
        before, after = rows @ weight.T, (rows / factors) @ (weight * factors).T
        assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))


@pytest.mark.parametrize(
    ("name", "bits", "group", "gain"),
    [
        ("smoothquant", 8, 0, 0.3),
        ("learned", 8, 0, 0.3),
        ("learned", 4, 32, 0.8),
        ("awq", 4, 32, 0.8),
    ],
)
def test_less_error_on_new_text(name: str, bits: int, group: int, gain: float) -> None:
    tensors = weights(64, 24, 16)
    factors = method(name)(tensors, of_rows(outlying(300, 64)), bits, group)
    unseen = outlying(200, 64, seed=1)
    plain = int8_error(tensors, unseen, torch.ones(64), bits, group)
    assert int8_error(tensors, unseen, factors, bits, group) < gain * plain


@pytest.mark.parametrize("name", METHODS)
def test_channels_without_signal_and_wild_ones(name: str) -> None:
    tensors, rows = weights(64, 24), outlying(300, 64, size=1e4)
    rows[:, 7] = 0
    tensors[0][:, 11] = 0
    factors = method(name)(tensors, of_rows(rows), 8, 0)
    assert bool(torch.isfinite(factors).all())
    assert 1e-3 * 0.99 <= float(factors.min()) <= float(factors.max()) <= 1e3 * 1.01
    # At run time the silent channel may speak; it must not drown the others then.
    assert 0.01 < float(factors[7]) < 100
    nothing = method(name)([torch.zeros(4, 64)], of_rows(torch.zeros(5, 64)), 8, 0)
    assert torch.allclose(nothing, torch.ones(64))


@pytest.mark.parametrize("name", METHODS)
def test_the_same_twice(name: str) -> None:
    tensors, seen = weights(64, 24), of_rows(outlying(300, 64))
    assert torch.equal(method(name)(tensors, seen, 4, 32), method(name)(tensors, seen, 4, 32))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8, 1.0])
def test_the_formula_of_the_paper(alpha: float) -> None:
    tensors, rows = weights(32, 24, 8), outlying(100, 32)
    factors = smoothquant.factors(tensors, of_rows(rows), 8, 0, alpha)
    largest = torch.cat(tensors).abs().amax(dim=0)
    expected = rows.abs().amax(dim=0) ** alpha / largest ** (1 - alpha)
    # One constant for all channels changes nothing.
    ratio = factors / expected
    assert torch.allclose(ratio, ratio[0].expand(32), rtol=1e-4)
    assert float(factors.log().mean()) == pytest.approx(0.0, abs=1e-5)


def test_all_difficulty_on_one_side() -> None:
    tensors, rows = weights(32, 24), outlying(100, 32)
    even = rows / smoothquant.factors(tensors, of_rows(rows), 8, 0, alpha=1.0)
    peaks = even.abs().amax(dim=0)
    assert torch.allclose(peaks, peaks[0].expand(32), rtol=1e-3)
