"""The simulation against the graph itself, the written graph, a real ``.pte`` and a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit.errors import InternalError
from edgekit.parity import cosines
from edgekit.runtime import load_runtime
from edgekit.runtime.onnx import library
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.quantize import onnx_blocks
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.decisions import Decisions
from edgekit_converters.quantize.grid import Grid
from edgekit_converters.quantize.rounding import nearest
from edgekit_converters.quantize.simulate import Simulation, Treatment, Variant, per_block
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case, calibration


def rounded(graph: GraphModule, bits: int = 8, group: int = 0) -> dict[str, Treatment]:
    """Every unit to nearest, activations a token at a time."""
    return {
        unit.name: Treatment(
            nearest.fit(weight(graph, unit.name), bits, group).dequantized(),
            per_token if unit.kind == "linear" else None,
        )
        for unit in units(graph)
    }


def weight(graph: GraphModule, name: str) -> Tensor:
    return dict(graph.named_parameters(remove_duplicate=False))[name].detach()


@pytest.mark.parametrize("name", ["bert", "distilbert", "sentence", "classifier"])
def test_without_changes_it_is_the_graph(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph = this.rewritten().module()
    inputs = [this.ids(length, length) for length in (2, 9, 30)]
    simulation = Simulation(graph, units(graph))
    for arguments, (own,) in zip(inputs, simulation.compare([], inputs), strict=True):
        with torch.no_grad():
            assert torch.equal(own, graph(*arguments))
    for arguments, output in zip(inputs, simulation.run({}, inputs), strict=True):
        with torch.no_grad():
            assert torch.equal(output, graph(*arguments))


def test_replaced_weights_are_computed_with(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph, changed = this.rewritten().module(), this.rewritten().module()
    inputs = [this.ids(length, length) for length in (2, 17)]
    variant = {}
    for unit in units(graph):
        other = weight(graph, unit.name) * 1.5 + 0.01
        variant[unit.name] = Treatment(other)
        dict(changed.named_parameters(remove_duplicate=False))[unit.name].data = other
    found = Simulation(graph, units(graph)).run(variant, inputs)
    for arguments, output in zip(inputs, found, strict=True):
        with torch.no_grad():
            assert torch.equal(output, changed(*arguments))


def test_smoothing_alone_changes_nothing(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph = this.rewritten().module()
    made = torch.Generator().manual_seed(0)
    variant = {}
    for unit in units(graph):
        if unit.kind == "linear":
            factor = torch.rand(unit.columns, generator=made) + 0.5
            variant[unit.name] = Treatment(weight(graph, unit.name) / factor, None, factor)
    (own, output), *_ = Simulation(graph, units(graph)).compare([variant], [this.ids(12)])
    assert float((own - output).abs().max()) < 1e-5 * float(own.abs().max())


def test_variants_do_not_disturb_each_other(case: Callable[[str], Case]) -> None:
    this = case("sentence")
    graph = this.rewritten().module()
    simulation = Simulation(graph, units(graph))
    eight, four = rounded(graph), rounded(graph, 4, 32)
    names = list(eight)
    variants: list[Variant] = [
        eight,
        {names[-1]: four[names[-1]]},
        {names[0]: four[names[0]], names[5]: eight[names[5]]},
        {},
    ]
    inputs = [this.ids(length, length) for length in (3, 20)]
    together = list(simulation.compare(variants, inputs))
    for place, variant in enumerate(variants, start=1):
        for outputs, alone in zip(together, simulation.run(variant, inputs), strict=True):
            assert torch.equal(outputs[place], alone)
    assert not torch.equal(together[0][1], together[0][0])


def test_what_the_artifact_answers(
    int8_edge: tuple[Captured, Decisions],
    int8_pte: Lowered,
    case: Callable[[str], Case],
    tmp_path: Path,
) -> None:
    """The calibrated graph holds dequantized weights; what is simulated is the activations."""
    edge, decisions = int8_edge
    graph, inputs = edge.module(), calibration(case("mask"))
    treatments = {
        unit.name: Treatment(
            decisions.grids[unit.name].dequantized(), per_token if unit.kind == "linear" else None
        )
        for unit in units(graph)
        if unit.name in decisions.grids
    }
    assert any(one.round_input for one in treatments.values())
    simulated = Simulation(graph, units(graph)).run(treatments, inputs)
    path = tmp_path / "model.pte"
    path.write_bytes(int8_pte.data)
    session = load_runtime("executorch").open_session(path, edge.signature)
    names = [spec.name for spec in edge.signature.inputs]
    output = edge.signature.outputs[0].name
    real, plain = [], []
    for arguments in inputs:
        given = {name: a.numpy() for name, a in zip(names, arguments, strict=True)}
        real.append(session.run(given)[output])
        with torch.no_grad():
            plain.append(graph(*arguments).numpy())
    near = cosines(real, [one.numpy() for one in simulated])
    assert near.min() > 0.9999
    # Without the activations' rounding it would be a worse picture of the artifact.
    assert (1 - near).mean() < 0.5 * (1 - cosines(real, plain)).mean()


@pytest.mark.parametrize("columns", [64, 96])
def test_blocks_are_rounded_as_the_kernel_does(columns: int) -> None:
    made = torch.Generator().manual_seed(columns)
    activation = torch.randn(1, 7, columns, generator=made) * torch.rand(columns, generator=made)
    grid = nearest.fit(torch.randn(16, columns, generator=made), 4, 32)
    simulated = per_block(32)(activation) @ grid.dequantized().T
    real = kernel(grid, 32, activation)
    noise = float((activation @ grid.dequantized().T - torch.from_numpy(real)).abs().max())
    assert noise > 1e-3  # it does round
    assert float((simulated - torch.from_numpy(real)).abs().max()) < 0.1 * noise


def kernel(grid: Grid, block: int, activation: Tensor) -> np.ndarray:
    """onnxruntime's MatMulNBits with int8 activations."""
    rows, columns = grid.values.shape
    constants = {"b": onnx_blocks.packed(grid, block), "s": onnx_blocks.block_scales(grid, block)}
    node = onnx.helper.make_node(
        "MatMulNBits",
        ["x", "b", "s"],
        ["y"],
        domain="com.microsoft",
        K=columns,
        N=rows,
        bits=grid.bits,
        block_size=block,
        accuracy_level=4,
    )
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [tensor("x", onnx.TensorProto.FLOAT, [1, "tokens", columns])],
        [tensor("y", onnx.TensorProto.FLOAT, [1, "tokens", rows])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    versions = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=10)
    session = library().InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: np.ndarray = session.run(None, {"x": activation.numpy()})[0]
    return found


def test_a_narrower_last_block_has_a_scale_of_its_own() -> None:
    activation = torch.tensor([[127.0, 3.3, 1.27, 0.333]])
    found = per_block(3)(activation)
    assert found.tolist() == [[127.0, 3.0, 1.0, pytest.approx(0.333)]]
    assert torch.equal(per_block(3)(torch.zeros(2, 4)), torch.zeros(2, 4))


class InPlace(nn.Module):
    """Writes into what it computed, and reads it again."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.linear = nn.Linear(8, 8)

    def forward(self, ids: Tensor) -> Tensor:
        found = self.table(ids)
        found.add_(1.0)
        return self.linear(found) + found


def test_operators_that_write_into_their_input() -> None:
    module = InPlace()
    ids = torch.arange(6).reshape(1, 6)
    graph = torch.export.export(module, (ids,)).module(check_guards=False)
    assert isinstance(graph, GraphModule)
    found = units(graph)
    (linear,) = [unit.name for unit in found if unit.kind == "linear"]
    variant = {linear: Treatment(weight(graph, linear) * 2)}
    simulation = Simulation(graph, found)
    for _ in range(2):
        (own, output), *_ = simulation.compare([variant], [(ids,)])
        with torch.no_grad():
            assert torch.equal(own, module(ids))
            hidden = module.table(ids) + 1
            wanted = hidden @ module.linear.weight.T * 2 + module.linear.bias + hidden
        assert torch.allclose(output, wanted, atol=1e-6)


def test_a_name_that_is_no_unit(case: Callable[[str], Case]) -> None:
    this = case("bert")
    graph = this.rewritten().module()
    with pytest.raises(InternalError, match=r"layer\.9"):
        Simulation(graph, units(graph)).run({"layer.9": Treatment(torch.ones(2, 2))}, [this.ids(4)])
