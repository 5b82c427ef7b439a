"""Planted regressions: each silent fault is stopped, and the hop or the tensor is named.

The faults are put into the real pipeline where such a bug would sit; everything else runs for real
on a small model. Sound runs of the same pipeline pass, with many different weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.fx import GraphModule, Node

import edgekit
from edgekit.errors import EdgekitError
from edgekit_converters import build, prepare
from edgekit_converters.export import executorch, onnx
from edgekit_converters.export.capture import Captured
from edgekit_converters.graph import attention
from edgekit_converters.graph.parameters import constant, replace_constant
from edgekit_converters.quantize import calibrate, executorch_writer
from edgekit_converters.quantize.grid import Grid
from tests.support.models import tiny_bert, tiny_sentence_bert

Patch = pytest.MonkeyPatch
Grids = Mapping[str, Grid]
WIDE = {"hidden_size": 64, "intermediate_size": 256}


@dataclass(frozen=True)
class Fault:
    """A fault, how to plant it, and what the refusal must name."""

    name: str
    plant: Callable[[Patch], None]
    named: str
    scheme: str = "int8"
    delegate: str | None = None
    runtime: str = "executorch"


def in_graph(change: Callable[[GraphModule], None]) -> Callable[[Patch], None]:
    """Spoil the graph after the rewrites."""

    def plant(patch: Patch) -> None:
        real = prepare.rewritten

        def spoilt(captured: Captured) -> Captured:
            edge = real(captured)
            module = edge.module()
            change(module)
            module.recompile()
            return edge.again(module)

        patch.setattr(build.prepare, "rewritten", spoilt)

    return plant


def in_grids(change: Callable[[Grids], Grids], where: Any) -> Callable[[Patch], None]:
    """Spoil the integers on their way into one artifact."""

    def plant(patch: Patch) -> None:
        real = where.lower

        def spoilt(captured: Captured, grids: Grids, *rest: Any) -> Any:
            return real(captured, change(grids), *rest)

        patch.setattr(where, "lower", spoilt)

    return plant


def weights(module: GraphModule, part: str) -> list[Node]:
    return [n for n in module.graph.nodes if n.op == "get_attr" and part in str(n.target)]


def shuffled_layers(module: GraphModule) -> None:
    one, two = weights(module, "layer.0.output.dense.weight")[0], None
    two = weights(module, "layer.1.output.dense.weight")[0]
    first, second = constant(module, one), constant(module, two)
    assert first is not None
    assert second is not None
    first, second = first.clone(), second.clone()
    replace_constant(module, one, second)
    replace_constant(module, two, first)


def wrong_epsilon(module: GraphModule) -> None:
    norms = [n for n in module.graph.nodes if n.target is torch.ops.aten.layer_norm.default]
    norms[0].args = (*norms[0].args[:4], 0.5)


def shifted_positions(module: GraphModule) -> None:
    for node in module.graph.nodes:
        value = constant(module, node) if node.op == "get_attr" else None
        if value is not None and value.is_floating_point() and "position" in str(node.target):
            replace_constant(module, node, value.roll(1, dims=value.ndim - 2))
            return
    raise AssertionError("no position table in the graph")


def dropped_scaling(module: GraphModule) -> None:
    for node in weights(module, "query.weight"):
        value = constant(module, node)
        assert value is not None
        replace_constant(module, node, value * 4)


def each(change: Callable[[str, Grid], Grid]) -> Callable[[Grids], Grids]:
    return lambda grids: {name: change(name, grid) for name, grid in grids.items()}


def nan_scale(name: str, grid: Grid) -> Grid:
    if "query" not in name:
        return grid
    scales = grid.scales.clone()
    scales[3] = float("nan")
    return replace(grid, scales=scales)


def permuted_scales(name: str, grid: Grid) -> Grid:
    return replace(grid, scales=grid.scales.flip(0)) if "dense" in name else grid


def saturated(name: str, grid: Grid) -> Grid:
    wrapped = grid.values.to(torch.int16) * 2
    values = ((wrapped + 128) % 256 - 128).clamp(min=-127).to(torch.int8)
    return replace(grid, values=values, scales=grid.scales / 2) if "dense" in name else grid


def unscaled_activations(patch: Patch) -> None:
    patch.setattr(calibrate, "scale", lambda module, linears, factors: None)


def coarse_activations(patch: Patch) -> None:
    """One scale for a whole tensor, and a wrong one: only four bits of it are used."""
    real = executorch_writer._per_token

    def coarse(module: GraphModule, source: Node) -> Node:
        node = real(module, source)
        quantized = node.args[0]
        assert isinstance(quantized, Node)
        for found in (quantized, node):
            low_high = [-8 if arg == -128 else 7 if arg == 127 else arg for arg in found.args]
            found.args = tuple(low_high)
        return node

    patch.setattr(executorch_writer, "_per_token", coarse)


def table_left(patch: Patch) -> None:
    """The writer passes over tables and says nothing."""
    real = executorch_writer.apply

    def lazy(module: GraphModule, grids: Grids) -> None:
        lookup = torch.ops.aten.embedding.default
        tables = {str(n.args[0].target) for n in module.graph.nodes if n.target is lookup}
        real(module, {name: grid for name, grid in grids.items() if name not in tables})

    patch.setattr(executorch_writer, "apply", lazy)


def nibbles(patch: Patch) -> None:
    """4-bit rows packed the wrong way round."""
    real = executorch_writer.packed

    def swapped(values: torch.Tensor, bits: int) -> torch.Tensor:
        stored = real(values, bits)
        return stored if bits != 4 else ((stored << 4) | (stored >> 4)).to(torch.uint8)

    patch.setattr(executorch_writer, "packed", swapped)


def no_mask(patch: Patch) -> None:
    patch.setattr(attention, "padding_mask", lambda *_, **__: None)


def layers_left(patch: Patch) -> None:
    """Quantization that silently skips the feed-forward layers."""
    real = build.settle

    def lazy(units: Any, choice: Any) -> Any:
        found = real(units, choice)
        return {
            name: replace(setting, bits=32, reason="skipped") if "dense" in name else setting
            for name, setting in found.items()
        }

    patch.setattr(build, "settle", lazy)


def another_file(patch: Patch) -> None:
    """The file on disk is cut short after it was made."""
    real = executorch.lower

    def cut(*arguments: Any) -> Any:
        lowered = real(*arguments)
        return replace(lowered, data=lowered.data[: len(lowered.data) // 2])

    patch.setattr(executorch, "lower", cut)


FAULTS = [
    Fault("shuffled layers", in_graph(shuffled_layers), "rewritten", runtime="onnx"),
    Fault("wrong epsilon", in_graph(wrong_epsilon), "rewritten", runtime="onnx"),
    Fault("shifted positions", in_graph(shifted_positions), "rewritten", runtime="onnx"),
    Fault("attention scaled twice", in_graph(dropped_scaling), "rewritten", runtime="onnx"),
    Fault("mask ignored", no_mask, "exported", "none", "nnapi", "onnx"),
    Fault("weights scaled, activations not", unscaled_activations, "lowered"),
    Fault("activations in four bits", coarse_activations, "lowered"),
    Fault("fp32 table left", table_left, "model.pte"),
    Fault("layers skipped", layers_left, "dense.weight", runtime="onnx"),
    Fault("NaN scale", in_grids(each(nan_scale), executorch), "query"),
    Fault(
        "scales of other rows",
        in_grids(each(permuted_scales), onnx),
        "dense.weight",
        runtime="onnx",
    ),
    Fault("integers that wrap", in_grids(each(saturated), executorch), "output.dense.weight"),
    Fault("nibbles swapped", nibbles, "lowered", "int8-int4"),
    Fault("file cut short", another_file, "model.pte"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sentence_bert(tmp_path_factory.mktemp("planted") / "model", **WIDE)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_stopped_and_named(
    fault: Fault, model: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    fault.plant(monkeypatch)
    out = tmp_path / "bundle"
    with pytest.raises(EdgekitError) as caught:
        edgekit.export(
            model,
            out=out,
            quantize=fault.scheme,
            delegate=fault.delegate,
            runtimes=[fault.runtime],
        )
    text = json.dumps(caught.value.as_dict())
    assert fault.named in text, text
    assert caught.value.exit_status in (1, 65, 70, 78)
    assert list(tmp_path.iterdir()) == []


def test_a_swapped_tokenizer_is_found(model: Path, tmp_path: Path) -> None:
    bundle = edgekit.export(model, out=tmp_path / "bundle", runtimes=["onnx"])
    path = bundle.path / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"the"', '"eht"', 1), encoding="utf-8")
    with pytest.raises(EdgekitError, match=r"tokenizer\.json"):
        edgekit.Bundle.open(bundle.path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_sound_models_pass(seed: int, tmp_path: Path) -> None:
    """No false alarm; ``benchmarks/false_alarms.py`` tries fifty."""
    maker = tiny_bert if seed % 2 else tiny_sentence_bert
    folder = maker(tmp_path / "model", seed=seed)
    scheme = ("int8", "none", "int8-int4")[seed % 3]
    with edgekit.export(folder, out=tmp_path / "bundle", quantize=scheme) as bundle:
        assert bundle.manifest.certified
        assert [hop.hop for hop in bundle.manifest.quality if not hop.passed] == []
