"""Norms written with linears: as near as torch's own, and left alone where they do not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule

from edgekit_converters.graph import norm

aten = torch.ops.aten


def captured(module: nn.Module, width: int) -> GraphModule:
    """Any number of tokens, ``(1, tokens, width)``."""
    dynamic = ({1: Dim("tokens", min=2, max=64)},)
    program = export(module.eval(), (torch.ones(1, 8, width),), dynamic_shapes=dynamic)
    graph = program.module(check_guards=False)
    assert isinstance(graph, GraphModule)
    return graph


def targets(graph: GraphModule) -> list[Any]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def rows(width: int, mean: float, outlier: float = 0.0) -> Tensor:
    made = torch.Generator().manual_seed(width)
    x = torch.randn(1, 64, width, generator=made) + mean
    if outlier:
        x[:, ::2, 3] = outlier
        x[:, 1::2, width // 2] = -outlier
    return x


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("width", [64, 384, 1024])
@pytest.mark.parametrize(
    ("mean", "outlier"),
    [(0.0, 0.0), (1.0, 0.0), (100.0, 0.0), (-100.0, 0.0), (0.0, 1e4), (5.0, -1e4)],
)
def test_near_the_exact_value(width: int, mean: float, outlier: float) -> None:
    layer = nn.LayerNorm(width, eps=1e-12)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, width))
        layer.bias.copy_(torch.linspace(-1, 1, width))
    graph = captured(layer, width)
    assert norm.apply(graph) == 1
    x = rows(width, mean, outlier)
    exact = nn.functional.layer_norm(
        x.double(), (width,), layer.weight.double(), layer.bias.double(), 1e-12
    )
    assert relative(graph(x), exact) <= 1e-5


def test_rows_without_variance_give_the_bias() -> None:
    layer = nn.LayerNorm(32, eps=1e-12)
    with torch.no_grad():
        layer.bias.copy_(torch.arange(32.0))
    graph = captured(layer, 32)
    norm.apply(graph)
    for value in (0.0, 1.0, 7.0):
        found = graph(torch.full((1, 5, 32), value))
        assert torch.equal(found, layer.bias.expand(1, 5, 32)), value


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_weight_and_bias_may_be_missing(affine: bool, bias: bool) -> None:
    layer = nn.LayerNorm(24, elementwise_affine=affine, bias=bias)
    graph = captured(layer, 24)
    assert norm.apply(graph) == 1
    x = rows(24, 1.0)
    torch.testing.assert_close(graph(x), layer(x), atol=1e-6, rtol=0)


class RootMeanSquare(nn.Module):
    """As Llama and T5 write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        kept = x.dtype
        x = x.to(torch.float32)
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6)).to(kept)


@pytest.mark.parametrize("kind", [RootMeanSquare, nn.RMSNorm])
@pytest.mark.parametrize("outlier", [0.0, 1e4])
def test_root_mean_square(kind: type[nn.Module], outlier: float) -> None:
    layer = kind(48)
    graph = captured(layer, 48)
    assert norm.apply(graph) == 1
    assert aten.mean.dim not in targets(graph)
    assert aten.rms_norm.default not in targets(graph)
    x = rows(48, 2.0, outlier)
    assert relative(graph(x), layer(x).double()) <= 1e-6


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.wide = nn.LayerNorm(16), nn.LayerNorm(16), nn.LayerNorm(32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.other(self.one(x))
        return self.wide(torch.cat([x, x], dim=-1))


def test_one_constant_for_each_width() -> None:
    graph = captured(Two(), 16)
    assert norm.apply(graph) == 3
    linears = [node for node in graph.graph.nodes if node.target is aten.linear.default]
    names = {str(node.args[1].target) for node in linears}
    assert len(linears) == 6
    assert len(names) == 2
    assert all(norm.is_norm_weight(name) for name in names)
    assert not norm.is_norm_weight("model.reduction_mean_1_16.weight")
    dynamic = ({1: Dim("tokens", min=2, max=64)},)
    again = export(graph, (torch.ones(1, 8, 16),), dynamic_shapes=dynamic)
    linears = [node for node in again.module().graph.nodes if node.target is aten.linear.default]
    assert {str(node.args[1].target) for node in linears} == names


class Left(nn.Module):
    """Over two dimensions; over tokens; without the kept dimension; in another type."""

    def forward(self, x: Tensor) -> Tensor:
        over_two = nn.functional.layer_norm(x.view(1, -1, 4, 8), (4, 8)).view(1, -1, 32)
        flat = x.mean(-1)[:, :, None]
        precise = nn.functional.layer_norm(x.double(), (32,)).float()
        return over_two + x.mean(1, keepdim=True) + flat + precise


def test_what_does_not_fit_is_left_alone() -> None:
    graph = captured(Left(), 32)
    before = targets(graph)
    assert norm.apply(graph) == 0
    assert targets(graph) == before
