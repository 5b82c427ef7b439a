"""Learned factors: who shares them, and what the noise they are chosen by has to do with errors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.decisions import replay
from edgekit_converters.quantize.methods import Calibrators, scalings
from edgekit_converters.quantize.plan import Setting
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.scaling import learned
from tests.converters.conftest import Case
from tests.converters.quantize.test_calibrate import calibrated, output
from tests.converters.quantize.test_nearest import of_rows

COLUMNS = 64


def activation(seed: int = 0) -> Tensor:
    """Rows with some channels far larger than the rest."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(512, COLUMNS, generator=draw)
    rows[:, :4] *= 30
    return rows


def reader(seed: int, loud: slice) -> Tensor:
    """A weight that hardly looks at some channels."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(96, COLUMNS, generator=draw) * 0.02
    weight[:, loud] *= 0.02
    return weight


def error(weight: Tensor, rows: Tensor, factors: Tensor) -> float:
    """Squared error of the product with both sides rounded to 8 bits."""
    grid = nearest.fit(weight * factors, 8, 0)
    found = per_token(rows / factors) @ grid.dequantized().T
    return float((found - rows @ weight.T).square().mean())


def test_the_one_that_differs_is_scaled_alone() -> None:
    quiet, other = slice(0, 4), slice(8, 60)
    alike = [reader(1, quiet), reader(2, quiet)]
    moments = of_rows(activation())
    assert learned.groups([*alike, reader(3, other)], moments, 8, 0) == [[0, 1], [2]]
    assert learned.groups([reader(3, other), *alike], moments, 8, 0) == [[0], [1, 2]]


def test_alone_it_has_less_error_on_new_rows() -> None:
    alike, other = [reader(1, slice(0, 4)), reader(2, slice(0, 4))], reader(3, slice(8, 60))
    moments, fresh = of_rows(activation()), activation(seed=9)
    shared = learned.factors([*alike, other], moments, 8, 0)
    own = learned.factors([other], moments, 8, 0)
    assert error(other, fresh, own) < 0.9 * error(other, fresh, shared)


def test_every_weight_is_scaled_once() -> None:
    weights = {
        "query": reader(1, slice(0, 4)),
        "key": reader(2, slice(0, 4)),
        "value": reader(3, slice(8, 60)),
    }
    found = scalings("auto", weights, of_rows(activation()), Setting(8))
    assert [names for names, _ in found] == [["query", "key"], ["value"]]
    assert scalings("", weights, of_rows(activation()), Setting(8)) == [(list(weights), None)]


def test_a_plan_that_names_the_first_reader_only(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph, decisions = calibrated(this, scaling="smoothquant")
    before = len(decisions.factors)
    by_activation: dict[bytes, str] = {}
    for name, factors in list(decisions.factors.items()):
        first = by_activation.setdefault(factors.numpy().tobytes(), name)
        if first != name:
            del decisions.factors[name]
    assert len(decisions.factors) < before
    again = this.rewritten().module()
    replay(again, decisions)
    assert torch.equal(output(again, this), output(graph, this))


def test_a_replay_with_values_apart(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph, decisions = calibrated(this)
    again = this.rewritten().module()
    replay(again, decisions)
    assert torch.equal(output(again, this), output(graph, this))
    assert Calibrators().scaling == "auto"
