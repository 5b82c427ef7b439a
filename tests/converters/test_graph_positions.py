"""Tables of what depends on the length alone; nothing else becomes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule

from edgekit_converters.graph import cleanup, positions
from tests.converters.conftest import Case, largest_difference

aten = torch.ops.aten
LONGEST, WIDTH = 40, 8


class Embedded(nn.Module):
    """Ids looked up, and something of the length added."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.table = nn.Embedding(50, WIDTH)
        self.places = nn.Embedding(LONGEST, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.register_buffer("numbers", torch.arange(LONGEST + 1)[None])
        self.register_buffer("angles", torch.linspace(0.1, 1, WIDTH))

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids) + self.function(self, ids)


def captured(function: Callable[[Any, Tensor], Tensor], batch: int = 1) -> GraphModule:
    dynamic = ({1: Dim("tokens", min=2, max=LONGEST)},)
    example = torch.ones(batch, 8, dtype=torch.int64)
    torch.manual_seed(0)
    program = export(Embedded(function).eval(), (example,), dynamic_shapes=dynamic)
    graph = program.module(check_guards=False)
    assert isinstance(graph, GraphModule)
    cleanup.apply(graph)
    return graph


def targets(graph: GraphModule) -> list[Any]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def assert_same(before: Any, after: Any, batch: int = 1) -> None:
    for tokens in (2, 3, 17, LONGEST - 1, LONGEST):
        made = torch.Generator().manual_seed(tokens)
        ids = torch.randint(0, 50, (batch, tokens), generator=made)
        assert (before(ids) - after(ids)).abs().max() <= 1e-6, tokens


def angles(module: Any, ids: Tensor) -> Tensor:
    places = torch.arange(ids.shape[1])[:, None].float()
    return torch.cos(places * module.angles)[None]


TABLES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "positions": lambda m, ids: m.places(m.numbers[:, : ids.shape[1]]),
    "positions counted at run time": lambda m, ids: m.places(torch.arange(ids.shape[1]))[None],
    "types and positions": lambda m, ids: (
        m.types(torch.zeros_like(ids)) + m.places(m.numbers[:, : ids.shape[1]])
    ),
    "angles": angles,
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("batch", [1, 3])
def test_one_table(name: str, batch: int) -> None:
    before, after = captured(TABLES[name], batch), captured(TABLES[name], batch)
    assert positions.apply(after) == 1
    assert targets(after).count(aten.embedding.default) == 1
    assert {aten.arange.default, aten.cos.default} & set(targets(after)) == set()
    assert after.positions_0.shape == (1, LONGEST + 1, WIDTH), "one row more than is ever cut"
    assert_same(before, after, batch)
    assert positions.apply(after) == 0
    dynamic = ({1: Dim("tokens", min=2, max=LONGEST)},)
    again = export(after, (torch.ones(batch, 8, dtype=torch.int64),), dynamic_shapes=dynamic)
    assert_same(before, again.module(), batch)


def test_terms_added_one_by_one_become_one_table() -> None:
    class Chain(Embedded):
        def forward(self, ids: Tensor) -> Tensor:
            first = self.table(ids) + self.types(torch.zeros_like(ids))
            return first + self.places(self.numbers[:, : ids.shape[1]])

    def graph() -> GraphModule:
        dynamic = ({1: Dim("tokens", min=2, max=LONGEST)},)
        example = (torch.ones(1, 8, dtype=torch.int64),)
        torch.manual_seed(0)
        module = Chain(angles).eval()
        found = export(module, example, dynamic_shapes=dynamic).module(check_guards=False)
        assert isinstance(found, GraphModule)
        return found

    before, after = graph(), graph()
    assert positions.apply(after) == 1
    assert targets(after).count(aten.add.Tensor) == 1
    assert_same(before, after)


def test_equal_rows_are_kept_once() -> None:
    after = captured(lambda m, ids: m.types(torch.zeros_like(ids)))
    before = captured(lambda m, ids: m.types(torch.zeros_like(ids)))
    assert positions.apply(after) == 1
    assert after.positions_0.shape == (1, 1, WIDTH)
    assert aten.slice.Tensor not in targets(after)
    assert_same(before, after)


LEFT: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "counted from the end": lambda m, ids: m.places(m.numbers[:, : ids.shape[1]].flip(1)),
    "a share of the length": lambda m, ids: (
        torch.arange(ids.shape[1])[None, :, None].float() / ids.shape[1]
    ),
    "counted over the ids": lambda m, ids: m.places((ids != 3).long().cumsum(1) - 1),
    "random": lambda m, ids: torch.rand(1, ids.shape[1], WIDTH),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_table_is_left_alone(name: str) -> None:
    graph = captured(LEFT[name])
    before = targets(graph)
    assert positions.apply(graph) == 0
    assert targets(graph) == before


def test_a_table_of_all_pairs_is_too_large() -> None:
    longest = 600

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Embedding(longest, 4)

        def forward(self, ids: Tensor) -> Tensor:
            places = torch.arange(ids.shape[1])
            apart = (places[:, None] - places[None]).abs()
            return ids[:, :, None, None].float() + self.bias(apart)[None]

    dynamic = ({1: Dim("tokens", min=2, max=longest)},)
    example = (torch.ones(1, 8, dtype=torch.int64),)
    graph = export(Pairs(), example, dynamic_shapes=dynamic).module(check_guards=False)
    assert isinstance(graph, GraphModule)
    assert positions.apply(graph) == 0


def test_ids_of_their_own_positions_stay(case: Callable[[str], Case]) -> None:
    this = case("roberta")
    graph = this.captured.module()
    cleanup.apply(graph)
    assert positions.apply(graph) == 1, "token types"
    assert targets(graph).count(aten.embedding.default) == 2
    assert aten.cumsum.default in targets(graph)
    (ids,) = this.ids(12)
    ids[:, 5] = this.loaded.config.pad_token_id
    assert largest_difference(this.captured.module(), graph, (ids,)) <= 1e-5


class Continued(nn.Module):
    """Positions that go on where a cache ends."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, WIDTH)
        self.places = nn.Embedding(2 * LONGEST, WIDTH)

    def forward(self, ids: Tensor, past: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1]) + past.shape[1]
        return self.table(ids) + self.places(places)[None]


def test_what_depends_on_a_second_length_stays() -> None:
    dynamic = ({1: Dim("tokens", min=2, max=LONGEST)}, {1: Dim("past", min=2, max=LONGEST)})
    example = (torch.ones(1, 8, dtype=torch.int64), torch.zeros(1, 5))
    module = Continued().eval()
    graph = export(module, example, dynamic_shapes=dynamic, strict=False).module()
    assert isinstance(graph, GraphModule)
    positions.apply(graph)
    for tokens, past in ((3, 7), (9, 2)):
        inputs = (torch.arange(tokens)[None], torch.zeros(1, past))
        assert torch.equal(graph(*inputs), module(*inputs))
