"""The integers in a ``.pte`` are the calibrated ones, whatever their form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgekit.bundle.manifest import Dim, Signature, TensorSpec
from edgekit.errors import InternalError
from edgekit_converters.export import executorch, sharing
from edgekit_converters.export.capture import Captured
from edgekit_converters.quantize import executorch_writer
from edgekit_converters.quantize.executorch_writer import packed
from edgekit_converters.quantize.grid import Grid, highest, lowest
from edgekit_converters.quiet import quiet
from tests.support.refusals import refused

ROWS, COLUMNS = 48, 64


class Tied(nn.Module):
    """Looks up rows and multiplies them with a matrix: each form of a grid in one graph."""

    def __init__(self, table: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(table, padding_idx=0)
        self.linear = nn.Linear(COLUMNS, ROWS, bias=False)
        self.linear.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.linear(self.table(ids))
        return found


def random_grid(rows: int, bits: int, group: int, seed: int) -> Grid:
    made = torch.Generator().manual_seed(seed)
    low, high = lowest(bits), highest(bits)
    values = torch.randint(low, high + 1, (rows, COLUMNS), generator=made, dtype=torch.int8)
    groups = COLUMNS // group if group else 1
    scales = torch.rand(rows, groups, generator=made) + 0.5
    return Grid(values, scales.to(torch.bfloat16).float(), bits, group or COLUMNS)


def captured(module: nn.Module, tokens: int, features: int = ROWS) -> Captured:
    ids = torch.zeros(1, 8, dtype=torch.int64)
    dynamic = ({1: torch.export.Dim("tokens", min=2, max=tokens)},)
    program = torch.export.export(module, (ids,), dynamic_shapes=dynamic)
    batch = Dim(name="batch", minimum=1, maximum=1)
    length = Dim(name="tokens", minimum=2, maximum=tokens)
    width = Dim(name="features", minimum=features, maximum=features)
    signature = Signature(
        inputs=(TensorSpec(name="input_ids", dtype="int64", dims=(batch, length)),),
        outputs=(TensorSpec(name="out", dtype="float32", dims=(batch, length, width)),),
    )
    return Captured(program, (ids,), dynamic, signature)


def run(lowered: executorch.Lowered, graph: Captured, ids: Tensor, folder: Path) -> Tensor:
    from edgekit.runtime.executorch import open_session

    path = folder / "model.pte"
    path.write_bytes(lowered.data)
    session = open_session(path, graph.signature)
    found = torch.from_numpy(session.run({"input_ids": ids.numpy()})["out"])
    session.close()
    return found[0]


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 32), (4, 64)])
def test_a_linear_multiplies_by_the_calibrated_grid(bits: int, group: int, tmp_path: Path) -> None:
    grid = random_grid(ROWS, bits, group, seed=bits + group)
    # Rows of the identity, one channel at a time: what comes out is one column of the weight.
    module = Tied(torch.eye(COLUMNS), grid.dequantized())
    graph = captured(module, COLUMNS)
    with quiet():
        lowered = executorch.lower(graph, {"linear.weight": grid}, "xnnpack")
    found = run(lowered, graph, torch.arange(COLUMNS)[None], tmp_path)
    torch.testing.assert_close(found, grid.dequantized().T, rtol=2e-6, atol=1e-6)
    assert lowered.backends == ("XnnpackBackend",)
    assert grid.dequantized().numpy().tobytes() not in lowered.data


@pytest.mark.parametrize(("bits", "group"), [(8, 0), (4, 32), (4, 0), (2, 32)])
def test_a_table_gives_the_calibrated_rows(bits: int, group: int, tmp_path: Path) -> None:
    grid = random_grid(200, bits, group, seed=bits)
    weight = torch.eye(COLUMNS)[:ROWS]
    graph = captured(Tied(grid.dequantized(), weight), 200)
    with quiet():
        lowered = executorch.lower(graph, {"table.weight": grid}, "xnnpack")
    found = run(lowered, graph, torch.arange(200)[None], tmp_path)
    torch.testing.assert_close(found, grid.dequantized()[:, :ROWS], rtol=1e-6, atol=1e-6)
    assert packed(grid.values, bits).numpy().tobytes() in lowered.data


def test_scales_that_two_bytes_do_not_hold_take_four(tmp_path: Path) -> None:
    grid = random_grid(200, 4, 32, seed=5)
    finer = replace(grid, scales=grid.scales * 1.00001)
    for one, kind in ((grid, torch.float16), (finer, torch.float32)):
        graph = captured(Tied(one.dequantized(), torch.eye(COLUMNS)[:ROWS]), 200)
        with quiet():
            lowered = executorch.lower(graph, {"table.weight": one}, "xnnpack")
        assert one.scales.to(kind).numpy().tobytes() in lowered.data
        found = run(lowered, graph, torch.arange(200)[None], tmp_path)
        torch.testing.assert_close(found, one.dequantized()[:, :ROWS], rtol=1e-6, atol=1e-6)


def test_a_table_that_is_the_head_is_in_the_file_once(tmp_path: Path) -> None:
    grid, ids = random_grid(200, 4, 32, seed=6), torch.arange(200)[None]
    other = replace(grid, values=grid.values.clone())
    other.values[0, 0] ^= 1
    table = packed(grid.values, 4).numpy().tobytes()
    sizes, shared = [], []
    for head in (grid, other):
        graph = captured(Tied(grid.dequantized(), head.dequantized()), 200, 200)
        with quiet():
            lowered = executorch.lower(
                graph, {"table.weight": grid, "linear.weight": head}, "xnnpack"
            )
        found = run(lowered, graph, ids, tmp_path)
        wanted = grid.dequantized() @ head.dequantized().T
        assert float(torch.nn.functional.cosine_similarity(found, wanted).min()) >= 0.999
        assert lowered.data.count(table) == 1
        sizes.append(len(lowered.data))
        shared.append(lowered.shared_bytes)
    # What is added is the order in which the head reads its channels.
    assert sizes[1] - sizes[0] > len(table) - 1024
    assert shared[0] >= len(table)
    assert shared[1] == 0


@pytest.mark.parametrize("data", [b"", b"ET12" * 40, bytes(200)])
def test_what_has_nothing_twice_stays_as_it_is(data: bytes) -> None:
    assert sharing.share(data) == data


def test_sharing_again_changes_nothing() -> None:
    grid = random_grid(200, 4, 32, seed=7)
    graph = captured(Tied(grid.dequantized(), grid.dequantized()), 200, 200)
    with quiet():
        grids = {"table.weight": grid, "linear.weight": grid}
        data = executorch.lower(graph, grids, "xnnpack").data
    assert sharing.share(data) == data


class Capped(Tied):
    """Divides what a linear gives, as the heads of Gemma do before their tanh."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.tanh(super().forward(ids) / 30.0)


def test_a_factor_behind_a_calibrated_linear_is_not_lost(tmp_path: Path) -> None:
    grid = random_grid(ROWS, 4, 32, seed=3)
    graph = captured(Capped(torch.eye(COLUMNS), grid.dequantized()), COLUMNS)
    with quiet():
        lowered = executorch.lower(graph, {"linear.weight": grid}, "xnnpack")
    found = run(lowered, graph, torch.arange(COLUMNS)[None], tmp_path)
    wanted = torch.tanh(grid.dequantized().T / 30.0)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_weight_that_changed_after_its_integers_were_chosen_is_refused() -> None:
    grid = random_grid(ROWS, 8, 0, seed=4)
    graph = captured(Tied(torch.eye(COLUMNS), 2 * grid.dequantized()), COLUMNS)
    refused(
        InternalError,
        70,
        "changed after its integers were chosen: linear.weight",
        lambda: executorch_writer.apply(graph.module(), {"linear.weight": grid}),
    )


def test_packing_loses_nothing() -> None:
    for bits in (8, 4, 2):
        values = random_grid(5, bits, 0, seed=9).values
        stored = packed(values, bits)
        assert stored.shape == (5, COLUMNS * bits // 8)
        if bits < 8:
            shifts = [4, 0] if bits == 4 else [0, 2, 4, 6]
            parts = [(stored.int() >> shift) % 2**bits + lowest(bits) for shift in shifts]
            assert torch.equal(torch.stack(parts, dim=-1).reshape(5, -1), values.int())


def test_the_graph_computes_as_the_file_does(tmp_path: Path) -> None:
    grid = random_grid(ROWS, 8, 0, seed=1)
    table = torch.randn(COLUMNS, COLUMNS, generator=torch.Generator().manual_seed(2))
    graph = captured(Tied(table, grid.dequantized()), COLUMNS)
    with quiet():
        lowered = executorch.lower(graph, {"linear.weight": grid}, "xnnpack")
    ids = torch.arange(COLUMNS)[None]
    assert lowered.graph is not None
    with torch.no_grad():
        here = lowered.graph(ids)[0]
    there = run(lowered, graph, ids, tmp_path)
    cosines = torch.nn.functional.cosine_similarity(here, there)
    assert float(cosines.min()) >= 0.9999


def test_a_grid_that_nothing_reads_is_our_bug() -> None:
    grid = random_grid(ROWS, 8, 0, seed=1)
    graph = captured(Tied(torch.eye(COLUMNS), grid.dequantized()), COLUMNS).module()
    job = lambda: executorch_writer.apply(graph, {"elsewhere.weight": grid})  # noqa: E731
    refused(InternalError, 70, "elsewhere.weight", job)
