"""Pooling and scaling to unit length as products: what torch gives, also near zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule
from torch.nn import functional as F

from edgekit_converters.graph import pooling

aten = torch.ops.aten
WIDTH = 24
Function = Callable[..., Tensor]


class Applied(nn.Module):
    """A function of hidden states, behind ids as a model has them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.table = nn.Embedding(50, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        return self.function(self.table(ids))


class Masked(Applied):
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.function(self.table(ids), mask.to(torch.float32)[:, :, None])


def captured(module: nn.Module, batch: int = 1, fixed: int | None = None) -> GraphModule:
    inputs = 2 if isinstance(module, Masked) else 1
    example = tuple(torch.ones(batch, fixed or 8, dtype=torch.int64) for _ in range(inputs))
    tokens = Dim("tokens", min=2, max=40)
    dynamic = None if fixed else ({1: tokens},) * inputs
    program = export(module.eval(), example, dynamic_shapes=dynamic)
    graph = program.module(check_guards=False)
    assert isinstance(graph, GraphModule)
    return graph


def targets(graph: GraphModule) -> list[Any]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(0, 50, (batch, tokens), generator=torch.Generator().manual_seed(tokens))


UNMASKED: dict[str, tuple[Function, Any]] = {
    "mean": (lambda x: x.mean(1), aten.mean.dim),
    "mean from the end": (lambda x: x.mean(-2), aten.mean.dim),
    "mean, dimension kept": (lambda x: x.mean(1, keepdim=True), aten.mean.dim),
    "first token": (lambda x: x[:, 0], aten.select.int),
}


@pytest.mark.parametrize("name", UNMASKED)
@pytest.mark.parametrize("batch", [1, 3])
def test_without_a_mask(name: str, batch: int) -> None:
    function, gone = UNMASKED[name]
    module = Applied(function)
    graph = captured(module, batch)
    assert pooling.apply(graph) == 1
    assert gone not in targets(graph)
    assert pooling.apply(graph) == 0
    for tokens in (2, 3, 39, 40):
        x = ids(batch, tokens)
        torch.testing.assert_close(graph(x), module(x), atol=1e-6, rtol=0)


def test_a_fixed_length() -> None:
    module = Applied(lambda x: x.mean(1) + x[:, 0])
    graph = captured(module, fixed=11)
    assert pooling.apply(graph) == 2
    assert aten.slice.Tensor not in targets(graph)
    torch.testing.assert_close(graph(ids(1, 11)), module(ids(1, 11)), atol=1e-6, rtol=0)


def test_the_longest_text_passes_the_guards() -> None:
    module = Applied(lambda x: x.mean(1))
    graph = captured(module)
    pooling.apply(graph)
    dynamic = ({1: Dim("tokens", min=2, max=40)},)
    again = export(graph, (ids(1, 8),), dynamic_shapes=dynamic).module()
    torch.testing.assert_close(again(ids(1, 40)), module(ids(1, 40)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_masked_mean(batch: int) -> None:
    module = Masked(lambda x, weights: (x * weights).sum(1) / weights.sum(1))
    graph = captured(module, batch)
    assert pooling.apply(graph) == 2, "the sum and the number of tokens"
    assert aten.sum.dim_IntList not in targets(graph)
    x, mask = ids(batch, 17), torch.ones(batch, 17, dtype=torch.int64)
    for row in range(batch):
        mask[row, 5 + 4 * row :] = 0
    torch.testing.assert_close(graph(x, mask), module(x, mask), atol=1e-6, rtol=0)
    other = x.clone()
    other[mask == 0] = 7
    assert torch.equal(graph(other, mask), graph(x, mask)), "padding has no part in it"


NORMS: dict[str, Function] = {
    "normalize": lambda x: F.normalize(x, dim=-1),
    "normalize, another bound": lambda x: F.normalize(x, dim=-1, eps=1e-3),
    "division by the norm": lambda x: x / x.norm(dim=-1, keepdim=True),
}


class Direct(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def norm_graph(function: Function) -> GraphModule:
    graph = export(Direct(function), (torch.ones(1, WIDTH),)).module(check_guards=False)
    assert isinstance(graph, GraphModule)
    return graph


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-15, 1e-12, 1e-9, 1e-3, 1.0, 1e9])
def test_unit_length(name: str, size: float) -> None:
    graph = norm_graph(NORMS[name])
    assert pooling.apply(graph) == 1
    assert aten.linalg_vector_norm.default not in targets(graph)
    x = torch.linspace(-1, 1, WIDTH)[None] * size
    wanted = NORMS[name](x)
    if "bound" in name or name == "normalize" or size >= 1e-15 or size == 0.0:
        torch.testing.assert_close(graph(x), wanted, atol=1e-5, rtol=1e-5, equal_nan=True)


LEFT: dict[str, Function] = {
    "sum of absolute values": lambda x: F.normalize(x, p=1.0, dim=-1),
    "over the rows": lambda x: F.normalize(x, dim=0),
    "a bound too small to square": lambda x: F.normalize(x, dim=-1, eps=1e-25),
    "the norm of something else": lambda x: x / (x + 1).norm(dim=-1, keepdim=True),
    "largest": lambda x: x.amax(dim=-1),
    "last row": lambda x: x[-1],
}


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_fit_is_left_alone(name: str) -> None:
    graph = norm_graph(LEFT[name])
    before = targets(graph)
    assert pooling.apply(graph) == 0
    assert targets(graph) == before


def test_an_input_itself_is_not_pooled_by_a_product() -> None:
    graph = export(Direct(lambda x: x[:, 0]), (torch.ones(1, 5, 3),)).module(check_guards=False)
    assert pooling.apply(graph) == 0
