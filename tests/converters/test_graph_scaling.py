"""Factors in weights: only where nobody else sees the difference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule

from edgekit_converters.graph import reshapes, scaling

aten = torch.ops.aten


class Block(nn.Module):
    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Linear(16, 16, bias=bias)
        self.other = nn.Linear(16, 16, bias=bias)


class Queries(Block):
    def forward(self, x: Tensor) -> Tensor:
        query = self.one(x).view(1, -1, 2, 8).transpose(1, 2) * 0.3
        return query @ self.other(x).view(1, -1, 2, 8).permute(0, 2, 3, 1)


class Scores(Block):
    def forward(self, x: Tensor) -> Tensor:
        query = self.one(x).view(-1, 2, 8).permute(1, 0, 2)
        return torch.bmm(query, self.other(x).view(-1, 2, 8).permute(1, 2, 0)) / 4.0


class ReadTwice(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return y * 2.0 + y


class Shared(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.one(x) * 2.0) * 2.0


class SharedUnequally(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.one(x) * 2.0) * 3.0


class SharedOnce(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.one(x) * 2.0)


class Tied(Block):
    def __init__(self, bias: bool = True) -> None:
        super().__init__(bias)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.one(x) * 2.0)


class AfterAnActivation(Block):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.one(x)) * 2.0


class NotANumber(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) * x


def captured(module: nn.Module) -> GraphModule:
    dynamic = ({1: Dim("tokens", min=2, max=32)},)
    program = export(module.eval(), (torch.ones(1, 8, 16),), dynamic_shapes=dynamic)
    graph = program.module(check_guards=False)
    assert isinstance(graph, GraphModule)
    return graph


def targets(graph: GraphModule) -> list[Any]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kind", "folded"),
    [
        *((Queries, 1), (Scores, 1), (Shared, 2)),
        *((ReadTwice, 0), (SharedUnequally, 0), (SharedOnce, 0), (Tied, 0)),
        *((AfterAnActivation, 0), (NotANumber, 0)),
    ],
)
def test_folded_where_it_can_be(kind: type[Block], folded: int, bias: bool) -> None:
    module = kind(bias)
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    graph = captured(module)
    before = targets(graph)
    assert scaling.apply(graph) == folded
    assert len(before) - len(targets(graph)) == folded
    for tokens in (2, 9, 32):
        x = torch.randn(1, tokens, 16, generator=torch.Generator().manual_seed(tokens))
        torch.testing.assert_close(graph(x), module(x), atol=1e-5, rtol=1e-5)
    assert scaling.apply(graph) == 0
    # The model that the graph was captured from is as it was.
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())


def test_a_scaled_weight_keeps_its_name() -> None:
    module = Queries()
    graph = captured(module)
    scaling.apply(graph)
    assert torch.equal(graph.one.weight, module.one.weight * 0.3)
    assert torch.equal(graph.one.bias, module.one.bias * 0.3)
    assert torch.equal(graph.other.weight, module.other.weight)


# Reshapes


class Heads(Block):
    def forward(self, x: Tensor) -> Tensor:
        query = self.one(x).view(1, -1, 2, 8).transpose(1, 2).view(2, -1, 8)
        key = self.other(x).view(1, -1, 2, 8).transpose(1, 2).view(2, -1, 8).transpose(1, 2)
        return torch.bmm(query, key)


class ThereAndBack(Block):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x).transpose(1, 2).permute(0, 2, 1) + 1


class TwoReaders(Block):
    def forward(self, x: Tensor) -> Tensor:
        swapped = self.one(x).view(1, -1, 2, 8).transpose(1, 2)
        return swapped.reshape(2, -1, 8).sum(0) + swapped.sum((0, 1))


@pytest.mark.parametrize(
    ("kind", "views", "permutations"),
    [(Heads, 2, 2), (ThereAndBack, 0, 0), (TwoReaders, 2, 1)],
)
def test_chains_become_one(kind: type[Block], views: int, permutations: int) -> None:
    module = kind()
    graph = captured(module)
    reshapes.apply(graph)
    found = targets(graph)
    assert found.count(aten.view.default) + found.count(aten.reshape.default) == views
    assert found.count(aten.permute.default) == permutations
    assert aten.transpose.int not in found
    for tokens in (2, 9, 32):
        x = torch.randn(1, tokens, 16)
        assert torch.equal(graph(x), module(x))
    assert reshapes.apply(graph) == 0
