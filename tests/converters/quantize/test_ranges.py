"""Static activations: ranges from text, in both artifacts, kept in a plan's folder."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import edgekit
from edgekit.errors import InputRefused, Unsupported
from edgekit_converters import planning
from edgekit_converters.planning import Options
from edgekit_converters.quantize import folder
from edgekit_converters.quantize.activations import affine, per_tensor
from edgekit_converters.quantize.ranges import LEAST_DB, observe
from edgekit_converters.quantize.record import QuantizedFolder
from tests.support.models import tiny_sentence_bert
from tests.support.refusals import refused
from tests.support.vocabulary import SENTENCES


def test_scale_and_zero_point_of_a_range() -> None:
    assert affine(0.0, 255.0) == (1.0, -128)
    assert affine(-255.0, 0.0) == (1.0, 127)
    assert affine(2.0, 255.0) == (1.0, -128)  # zero is always a value
    scale, zero = affine(-1.0, 1.0)
    assert (round(scale * 255, 6), zero) == (2.0, 0)
    assert affine(0.0, 0.0)[1] == -128


def test_rounding_over_a_range_cuts_what_lies_outside() -> None:
    rounded = per_tensor(0.0, 2.55)(torch.tensor([0.0, 1.004, 2.0, 9.0, -3.0]))
    torch.testing.assert_close(rounded, torch.tensor([0.0, 1.0, 2.0, 2.55, 0.0]))


class Two(nn.Module):
    """A linear whose output fits one range, and one with a channel that takes it all."""

    def __init__(self) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(0)
        self.even, self.uneven = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
        for linear in (self.even, self.uneven):
            values = torch.randn(32, 32, generator=made) / 6
            linear.weight = nn.Parameter(values, requires_grad=False)
        # Rarely on, and then five thousand times as large as the rest.
        self.uneven.weight[0] = 0.0
        self.uneven.weight[0, 0] = 5000.0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """``(rows, 32)`` to the same."""
        gate = torch.cat([(values[:, :1] > 2.5).float(), values[:, 1:]], dim=1)
        return torch.cat([self.even(values), self.uneven(gate)], dim=1)


def test_a_linear_that_no_range_holds_has_none() -> None:
    values = torch.randn(512, 32, generator=torch.Generator().manual_seed(1))
    graph = torch.export.export(Two(), (values,)).module(check_guards=False)
    assert isinstance(graph, torch.fx.GraphModule)
    found = observe(graph, {"even.weight", "uneven.weight"}, [(values,)])
    assert list(found) == ["even.weight"]
    low, high, least, greatest = found["even.weight"].tolist()
    output = Two().even(values)
    assert values.min() <= low < high <= values.max()
    assert output.min() <= least < greatest <= output.max()
    error = per_tensor(least, greatest)(output) - output
    assert 10 * torch.log10(output.square().sum() / error.square().sum()) > LEAST_DB


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> QuantizedFolder:
    home = tmp_path_factory.mktemp("static")
    texts = home / "texts.txt"
    texts.write_text("\n".join([*SENTENCES, *SENTENCES[:10]]), encoding="utf-8")
    return planning.quantize(
        tiny_sentence_bert(home / "model"),
        Options(scheme="int8-static", data=texts),
        out=home / "planned",
        samples_file=texts,
    )


def test_a_plan_keeps_ranges(planned: QuantizedFolder) -> None:
    facts = planned.plan.facts
    assert facts.scheme == "int8-static"
    assert facts.quality[-1].worst_cosine > 0.99
    found = folder.load(planned.path, facts.weights_sha256)
    assert found is not None
    fixed = {name for name, grid in found[0].grids.items() if grid.ranges is not None}
    linears = {row.tensor for row in planned.plan.ledger if row.kind == "linear"}
    assert fixed
    assert fixed <= linears


def test_ranges_that_were_tampered_with(planned: QuantizedFolder) -> None:
    """A file of the right shape with a range turned round: the numbers are looked at."""
    from safetensors.torch import load_file

    from edgekit_converters.quantize.folder import _check_values

    tensors = load_file(planned.path / "quantization.safetensors")
    name = next(name for name in tensors if name.startswith("ranges/"))
    tensors[name] = tensors[name].flip(0)
    refused(
        InputRefused, 65, "no pair of ranges", lambda: _check_values(tensors, planned.plan.ledger)
    )


@pytest.mark.slow
def test_both_artifacts_multiply_on_fixed_grids(planned: QuantizedFolder, tmp_path: Path) -> None:
    with edgekit.export(planned.path, out=tmp_path / "bundle") as bundle:
        assert bundle.manifest.certified
        worst = {hop.hop: hop.worst_cosine for hop in bundle.manifest.quality}
        simulated = planned.plan.facts.quality[-1].worst_cosine
        # The .pte rounds what a linear gives as well, as the simulation does.
        assert abs(worst["executorch"] - simulated) < 0.01
        assert worst["onnx"] > 0.99
        graph = onnx.load(bundle.path / "model.onnx").graph
    constants = {tensor.name for tensor in graph.initializer}
    rounded = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert [node for node in rounded if node.input[1] in constants]
    products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert [node for node in products if node.input[2] in constants and len(node.input) >= 5]


def test_decoders_have_no_static_activations() -> None:
    from examples.tiny_decoder import folder as decoder

    asked = Options(scheme="int8-static")
    error = refused(Unsupported, 78, "one pass", lambda: planning.quantize(decoder(), asked))
    assert "--quantize int8" in error.hint
