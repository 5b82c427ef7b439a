"""Parting channels around an activation function: exact, lasting, and worth it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekit_converters.quantize import outliers
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.units import units
from tests.converters.conftest import Case, largest_difference
from tests.converters.quantize.test_nearest import of_rows

aten = torch.ops.aten
CHOSEN = torch.tensor([1, 5, 6, 20, 21, 30, 40, 47])


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def spelled_out_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(0.7978845608 * (x + 0.044715 * torch.pow(x, 3.0))))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": nn.functional.gelu,
    "gelu tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "gelu spelled out": spelled_out_gelu,
    "quick gelu": quick_gelu,
    "relu": nn.functional.relu,
    "relu squared": lambda x: nn.functional.relu(x) ** 2,
    "silu": nn.functional.silu,
}


class FeedForward(nn.Module):
    """Two linears around a function; a third for a gate."""

    def __init__(self, function: Callable[[Tensor], Tensor], gated: bool, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(16, 48, bias=bias)
        self.gate = nn.Linear(16, 48, bias=bias)
        self.second = nn.Linear(48, 16, bias=bias)
        self.function, self.gated = function, gated

    def forward(self, x: Tensor) -> Tensor:
        inner = self.function(self.first(x))
        return self.second(inner * self.gate(x) if self.gated else inner)


def traced(model: nn.Module, example: Tensor | None = None) -> GraphModule:
    tokens = torch.export.Dim("tokens", min=2, max=64)
    made = torch.randn(1, 9, 16) if example is None else example
    program = torch.export.export(model, (made,), dynamic_shapes=({1: tokens},), strict=False)
    module = program.module(check_guards=False)
    assert isinstance(module, GraphModule)
    return module


def texts() -> list[Tensor]:
    made = torch.Generator().manual_seed(1)
    return [torch.randn(1, length, 16, generator=made) for length in (2, 9, 30)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_function_stays(name: str, gated: bool, bias: bool) -> None:
    model = FeedForward(FUNCTIONS[name], gated, bias)
    graph = traced(model)
    assert outliers.splittable(graph) == ["second.weight"]
    names = outliers.split(graph, "second.weight", CHOSEN)
    assert names == ("second.weight_outliers", "second.weight_rest")
    found = {unit.name: (unit.rows, unit.columns) for unit in units(graph)}
    expected = {
        "first.weight_outliers": (8, 16),
        "first.weight_rest": (40, 16),
        "second.weight_outliers": (16, 8),
        "second.weight_rest": (16, 40),
    }
    if gated:
        expected |= {"gate.weight_outliers": (8, 16), "gate.weight_rest": (40, 16)}
    assert found == expected
    for text in texts():
        assert largest_difference(model, graph, (text,)) <= 1e-6
    # Nothing is held that nothing reads.
    assert "second.weight" not in dict(graph.named_parameters())
    again = traced(graph)
    assert {unit.name for unit in units(again)} == set(expected)
    assert largest_difference(model, again, (texts()[0],)) <= 1e-6


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra"])
def test_models(case: Callable[[str], Case], name: str) -> None:
    this = case(name)
    graph = this.rewritten().module()
    found = outliers.splittable(graph)
    assert len(found) == 2  # one for each layer
    before = [unit.name for unit in units(graph)]
    for weight in found:
        outliers.split(graph, weight, torch.arange(0, 128, 16))
    assert len(units(graph)) == len(before) + 2 * 2
    again = this.captured.again(graph).module()
    assert [unit.name for unit in units(again)] == [unit.name for unit in units(graph)]
    for length in (2, 17, this.loaded.max_length):
        inputs = this.ids(length, length)
        with torch.no_grad():
            size = float(this.eager(*inputs).abs().max())
        assert largest_difference(this.eager, again, inputs) <= 1e-5 * max(size, 1.0)
    # Once parted, a part can be parted again.
    outliers.split(graph, f"{found[0]}{outliers.REST}", torch.arange(8))
    assert largest_difference(this.eager, graph, this.ids(9)) <= 1e-5 * max(size, 1.0)


class Shared(nn.Module):
    """One feed-forward, applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = FeedForward(nn.functional.gelu, False, True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.inner(x))


def test_a_weight_that_is_read_twice() -> None:
    model = Shared()
    graph = traced(model)
    outliers.split(graph, "inner.second.weight", CHOSEN)
    assert len(units(graph)) == 4
    assert all(len(unit.outputs) == 2 for unit in units(graph))
    for text in texts():
        assert largest_difference(model, graph, (text,)) <= 1e-6


class Others(nn.Module):
    """Feed-forwards that cannot be parted."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.third, self.norm = nn.Linear(16, 16), nn.LayerNorm(16)
        self.size, self.narrow = nn.Parameter(torch.ones(16)), nn.Linear(16, 1)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first(x)
        match self.kind:
            case "no function":
                return self.second(inner * 2.0)
            case "norm between":
                return self.second(nn.functional.gelu(self.norm(inner)))
            case "read elsewhere":
                bent = nn.functional.gelu(inner)
                return self.second(bent) + bent
            case "first read elsewhere":
                return self.second(nn.functional.gelu(inner)) + inner
            case "first of two":
                bent = nn.functional.gelu(self.first(x + 1.0))
                return self.second(nn.functional.gelu(inner)) + self.third(bent)
            case "vector between":
                return self.second(nn.functional.gelu(inner) * self.size)
            case "one gate for all channels":
                return self.second(torch.sigmoid(self.narrow(x)) * inner)
            case "no linear before":
                return self.second(nn.functional.gelu(x))
            case "residual before":
                return self.second(nn.functional.gelu(inner + x))
            case "weight that is computed":
                return nn.functional.linear(nn.functional.gelu(inner), self.second.weight * 2.0)
        raise KeyError(self.kind)


@pytest.mark.parametrize(
    "kind",
    [
        "no function",
        "norm between",
        "read elsewhere",
        "first read elsewhere",
        "first of two",
        "vector between",
        "one gate for all channels",
        "no linear before",
        "residual before",
        "weight that is computed",
    ],
)
def test_what_cannot_be_parted(kind: str) -> None:
    model = Others(kind)
    graph = traced(model)
    assert outliers.splittable(graph) == []
    with pytest.raises(ValueError, match=r"second\.weight does not follow an activation function"):
        outliers.split(graph, "second.weight", CHOSEN[:2])
    assert largest_difference(model, graph, (texts()[0],)) == 0.0


def test_channels_that_make_no_sense() -> None:
    graph = traced(FeedForward(nn.functional.gelu, False, True))
    for chosen in (torch.arange(48), torch.arange(0)):
        with pytest.raises(ValueError, match="both sides"):
            outliers.split(graph, "second.weight", chosen)
    for wrong in (-1, 48):
        with pytest.raises(ValueError, match="channels 0 to 47"):
            outliers.split(graph, "second.weight", torch.tensor([3, wrong]))
    assert outliers.splittable(graph) == ["second.weight"]


def test_the_largest_peaks_are_chosen() -> None:
    rows = torch.rand(50, 96, generator=torch.Generator().manual_seed(0))
    loud = torch.tensor([2, 3, 17, 40, 41, 42, 80, 95])
    rows[7, loud] = 50.0
    assert torch.equal(outliers.channels(of_rows(rows), 8), loud)
    assert len(outliers.channels(of_rows(rows))) == 32
    assert len(outliers.channels(of_rows(rows), 15)) == 8
    assert len(outliers.channels(of_rows(rows), 80)) == 48
    assert len(outliers.channels(of_rows(rows[:, :12]))) == 0


def test_outliers_cost_less() -> None:
    model = FeedForward(nn.functional.relu, False, True)
    with torch.no_grad():
        model.first.weight[CHOSEN] *= 60.0
        model.second.weight[:, CHOSEN] /= 60.0
    graph = traced(model)
    inputs = torch.randn(1, 64, 16, generator=torch.Generator().manual_seed(4))

    def noise(graph_module: GraphModule) -> float:
        rounded: Any = torch.fx.Interpreter(graph_module)
        run_node = rounded.run_node

        def rounding(node: torch.fx.Node) -> Any:
            if node.target is aten.linear.default and node.name in seconds:
                source = node.args[0]
                rounded.env[source] = per_token(rounded.env[source])
            return run_node(node)

        seconds = {u.outputs[0] for u in units(graph_module) if u.name.startswith("second")}
        rounded.run_node = rounding
        with torch.no_grad():
            return float((rounded.run(inputs) - model(inputs)).square().mean())

    before = noise(graph)
    outliers.split(graph, "second.weight", CHOSEN)
    assert noise(graph) < 0.1 * before
