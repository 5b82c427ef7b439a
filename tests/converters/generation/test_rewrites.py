"""Each rewrite that decoders need: what it finds, and that the function stays the same."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit_converters import graph
from edgekit_converters.generation.rewrites import (
    empties,
    heads,
    powers,
    products,
    selections,
    splits,
)
from edgekit_converters.graph import cleanup, gelu, reshapes, views
from edgekit_converters.quantize.units import units

_aten = torch.ops.aten


class Function(nn.Module):
    """A function of ``(1, tokens, 12)``, with two matrices at hand."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(0)
        self.square = nn.Parameter(torch.randn(12, 12, generator=made))
        self.wide = nn.Parameter(torch.randn(24, 12, generator=made))
        self.bias = nn.Parameter(torch.randn(24, generator=made))
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(self, x)


def traced(function: Callable[..., Tensor]) -> tuple[Function, GraphModule]:
    module = Function(function).eval().requires_grad_(False)
    tokens = torch.export.Dim("tokens", min=2, max=32)
    program = torch.export.export(
        module, (torch.ones(1, 5, 12),), dynamic_shapes=({1: tokens},), strict=False
    )
    found = program.module(check_guards=False)
    assert isinstance(found, GraphModule)
    cleanup.apply(found)
    views.apply(found)
    return module, found


def check(
    rewrite: ModuleType, function: Callable[..., Tensor], places: int, within: float = 1e-6
) -> GraphModule:
    """Apply twice: ``places`` changes, then none; the same values at every length."""
    module, found = traced(function)
    assert rewrite.apply(found) == places
    assert rewrite.apply(found) == 0
    for length in (2, 5, 32):
        x = torch.randn(1, length, 12, generator=torch.Generator().manual_seed(length))
        assert (found(x) - module(x)).abs().max() <= within
    return found


def count(found: GraphModule, *targets: Any) -> int:
    return sum(node.target in targets for node in found.graph.nodes)


def rotated(x: Tensor) -> Tensor:
    return torch.cat((-x[..., 6:], x[..., :6]), dim=-1)


def every_two(x: Tensor) -> Tensor:
    turned = torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1)
    return turned.flatten(-2)


class Turned(nn.Module):
    """GPT-2's layer: the weight is ``(inputs, outputs)``."""

    def __init__(self) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(12, 36, generator=made))
        self.bias = nn.Parameter(torch.randn(36, generator=made))

    def forward(self, x: Tensor) -> Tensor:
        made = torch.addmm(self.bias, x.view(-1, 12), self.weight).view(1, -1, 36)
        one, other, last = made.split(12, dim=2)
        return one * other + last


def test_products_become_linears_and_are_parted() -> None:
    module = Turned().eval().requires_grad_(False)
    tokens = torch.export.Dim("tokens", min=2, max=32)
    program = torch.export.export(
        module, (torch.ones(1, 5, 12),), dynamic_shapes=({1: tokens},), strict=False
    )
    found = program.module(check_guards=False)
    assert isinstance(found, GraphModule)
    graph.apply_all(found)
    assert not units(found)
    assert products.apply(found) == 1
    assert splits.apply(found) == 1
    assert count(found, _aten.linear.default) == 3
    assert count(found, _aten.addmm.default, _aten.view.default, _aten.split.Tensor) == 0
    assert [unit.rows for unit in units(found)] == [12, 12, 12]
    for length in (2, 9):
        x = torch.randn(1, length, 12)
        assert (found(x) - module(x)).abs().max() <= 1e-5


def test_a_linear_that_is_cut_is_parted() -> None:
    def cut(m: Any, x: Tensor) -> Tensor:
        made = nn.functional.linear(x, m.wide, m.bias)
        return made[..., :12] * made[..., 12:]

    found = check(splits, cut, 1)
    assert count(found, _aten.slice.Tensor) == 0


def test_a_linear_that_is_also_read_whole_is_left() -> None:
    def cut(m: Any, x: Tensor) -> Tensor:
        made = nn.functional.linear(x, m.wide, m.bias)
        return made[..., :12] + made.sum(dim=-1, keepdim=True)

    check(splits, cut, 0)


def test_nothing_joined_is_left_out() -> None:
    def join(m: Any, x: Tensor) -> Tensor:
        return torch.cat((x * 2, x[..., 12:]), dim=-1)

    found = check(empties, join, 1)
    assert count(found, _aten.cat.default, _aten.slice.Tensor) == 0


def test_swaps_of_heads_meet_and_go() -> None:
    def attend(m: Any, x: Tensor) -> Tensor:
        row = torch.arange(4.0)[None, None, :].expand(1, x.shape[1], 4).unsqueeze(1)
        split = x.view(1, -1, 3, 4).transpose(1, 2)
        mixed = split * row + split.neg()
        return mixed.transpose(1, 2).reshape(1, -1, 12)

    module, found = traced(attend)
    assert heads.apply(found) >= 3
    reshapes.apply(found)
    assert count(found, _aten.permute.default, _aten.transpose.int) <= 1  # the row's own
    x = torch.randn(1, 7, 12)
    assert torch.equal(found(x), module(x))


@pytest.mark.parametrize("turn", [rotated, every_two])
def test_turning_features_is_one_linear(turn: Callable[[Tensor], Tensor]) -> None:
    found = check(selections, lambda m, x: turn(x * 2) + x, 1)
    assert count(found, _aten.slice.Tensor, _aten.cat.default, _aten.neg.default) == 0
    assert count(found, _aten.linear.default) == 1


def test_one_matrix_serves_all_and_no_ledger_counts_it() -> None:
    found = check(selections, lambda m, x: rotated(x * 2) + rotated(x * 3), 2)
    names = {str(node.target) for node in found.graph.nodes if node.op == "get_attr"}
    assert len(names) == 1
    assert names.pop().startswith("reduction_selection_")


def test_cuts_of_tokens_are_left() -> None:
    check(selections, lambda m, x: (x * 2)[:, -1:], 0)


def test_gelu_by_its_formula() -> None:
    found = check(gelu, lambda m, x: nn.functional.gelu(4 * x, approximate="tanh"), 1, 2e-6)
    assert count(found, _aten.gelu.default) == 0
    check(gelu, lambda m, x: nn.functional.gelu(4 * x), 0)


def test_powers_are_products() -> None:
    found = check(powers, lambda m, x: x.pow(3) + x.pow(4), 2, 1e-4)
    assert count(found, _aten.pow.Tensor_Scalar) == 0
    check(powers, lambda m, x: x.pow(2), 0)
