"""Embedding tables in int8: near the original row by row, whatever the table looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx import GraphModule

from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.quantize import embedding
from edgekit_converters.quantize.rounding import per_row
from tests.converters.conftest import Case

aten = torch.ops.aten
ROWS, WIDTH = 400, 64


class Lookup(nn.Module):
    def __init__(self, rows: int, padding: int | None) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, WIDTH, padding_idx=padding)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.table(ids) * 1.0
        return found


def captured(module: nn.Module) -> GraphModule:
    ids = torch.ones(1, 8, dtype=torch.int64)
    program = export(module, (ids,), dynamic_shapes=({1: Dim("tokens", min=2, max=512)},))
    return program.module(check_guards=False)


def targets(graph: GraphModule) -> list[object]:
    return [node.target for node in graph.graph.nodes]


@pytest.mark.parametrize("padding", [None, 0, ROWS - 1])
def test_every_row_is_within_half_a_step(padding: int | None) -> None:
    torch.manual_seed(3)
    module = Lookup(ROWS, padding)
    with torch.no_grad():
        module.table.weight *= torch.logspace(-6, 3, ROWS)[:, None]
        module.table.weight[7] = 0.0
        module.table.weight[8, 1:] = 0.0
    weight = module.table.weight.detach()
    graph = captured(module)
    assert embedding.apply(graph) == [(ROWS * WIDTH * 4, ROWS * WIDTH + ROWS * 4)]
    assert aten.embedding.default not in targets(graph)
    with torch.no_grad():
        found = graph(torch.arange(ROWS)[None])[0]
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((found - weight).abs() <= step * 0.5001 + 1e-12).all()
    assert (found[7] == 0).all()
    assert (found[8, 1:] == 0).all()
    assert not torch.equal(found, weight)


def test_the_largest_value_of_a_row_is_kept() -> None:
    weight = torch.randn(50, 9)
    values, scales = per_row(weight)
    assert values.dtype == torch.int8
    assert scales.dtype == torch.float32
    assert (values.abs().amax(dim=1) == 127).all()
    largest = (values * scales[:, None]).abs().amax(dim=1)
    torch.testing.assert_close(largest, weight.abs().amax(dim=1))


@pytest.mark.parametrize(("rows", "quantized"), [(255, 0), (256, 1)])
def test_small_tables_are_left(rows: int, quantized: int) -> None:
    assert embedding.SMALLEST_TABLE == 256 * WIDTH * 4
    module = Lookup(rows, 0)
    graph = captured(module)
    assert len(embedding.apply(graph)) == quantized
    assert targets(graph).count(aten.embedding.default) == 1 - quantized
    if not quantized:
        ids = torch.arange(rows)[None]
        with torch.no_grad():
            assert torch.equal(graph(ids), module(ids))


class Computed(nn.Module):
    """A table that is not a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(ROWS, WIDTH))

    def forward(self, ids: Tensor) -> Tensor:
        return torch.nn.functional.embedding(ids, self.table * ids.sum())


def test_a_computed_table_is_left() -> None:
    graph = captured(Computed())
    assert embedding.apply(graph) == []
    assert aten.embedding.default in targets(graph)


def test_the_int8_table_is_in_the_pte(
    case: Callable[[str], Case], smooth_edge: Captured, int8_pte: Lowered
) -> None:
    model: Any = case("mask").loaded.model
    table = model.get_input_embeddings().weight.detach()
    values, scales = per_row(table)
    assert values.numpy().tobytes() in int8_pte.data
    assert scales.numpy().tobytes() in int8_pte.data
    assert table.numpy().tobytes() not in int8_pte.data
    assert "quantized_decomposed::embedding_byte.out" in int8_pte.info.operators
    (group,) = [g for g in int8_pte.info.quantization if g.kind == "embedding table"]
    assert group.tensors == 1
    assert group.bytes_before == table.nbytes
    assert group.bytes_after == values.nbytes + scales.nbytes
