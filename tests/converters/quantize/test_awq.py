"""AWQ: the exponent is chosen by the error of the rounded layer, and 0 is among the choices."""

from __future__ import annotations

import torch

from edgekit_converters.quantize.scaling import awq
from tests.converters.quantize.test_nearest import of_rows
from tests.converters.quantize.test_smoothquant import int8_error, outlying, weights


def test_alike_channels_need_no_factors() -> None:
    rows = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    rows = rows / rows.abs().mean(dim=0)
    factors = awq.factors(weights(64, 24), of_rows(rows), 4, 32)
    assert torch.allclose(factors, torch.ones(64), atol=1e-4)


def test_channels_with_more_signal_get_finer_steps() -> None:
    rows = outlying(300, 64, size=8.0)
    factors = awq.factors(weights(64, 24), of_rows(rows), 4, 32)
    loud = torch.zeros(64, dtype=torch.bool)
    loud[[3, 32]] = True
    assert float(factors[loud].min()) > 1.3 * float(factors[~loud].max())


def test_no_exponent_of_the_grid_is_better() -> None:
    tensors, rows = weights(64, 24, 16), outlying(300, 64, size=8.0)
    seen = of_rows(rows)
    chosen = awq.factors(tensors, seen, 4, 32)
    size = seen.size / seen.size.log().mean().exp()

    def error(factors: torch.Tensor) -> float:
        return int8_error(tensors, rows, factors, 4, 32)

    others = [error(size**power) for power in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert error(chosen) <= 1.02 * min(others)


def test_readers_of_one_activation_are_weighed_together() -> None:
    seen = of_rows(outlying(300, 64, size=8.0))
    one, other = weights(64, 24, 200)
    other *= 10
    together = awq.factors([one, other], seen, 4, 32)
    assert torch.equal(together, awq.factors([torch.cat([one, other])], seen, 4, 32))
