"""Quantization-aware training: nearer to the float model, on grids that rounding finds again."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekit_converters.quantize import qat
from edgekit_converters.quantize.activations import per_token
from edgekit_converters.quantize.plan import FP32, Setting
from edgekit_converters.quantize.rounding import nearest
from tests.converters.conftest import Case, calibration


class Reader(nn.Module):
    """A table, a norm and two linears; the second shares its weight with the table if tied."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 64)
        self.first, self.norm = nn.Linear(64, 64), nn.LayerNorm(64)
        self.second = nn.Linear(64, 50)
        if tied:
            self.second.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.second(self.norm(torch.relu(self.first(self.table(ids)))))
        return found


def texts(count: int, seed: int) -> list[tuple[Tensor, ...]]:
    made = torch.Generator().manual_seed(seed)
    return [(torch.randint(0, 50, (1, 4 + i % 9), generator=made),) for i in range(count)]


SETTINGS = {
    "first.weight": Setting(4, 32),
    "second.weight": Setting(8),
    "table.weight": Setting(8),
    "norm.weight": Setting(FP32),
}


def rounded(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """The model with these weights, and its activations rounded as kernels do."""
    copied = copy.deepcopy(model)
    for name, weight in weights.items():
        linear = copied.get_submodule(name.removesuffix(".weight"))
        assert isinstance(linear, nn.Linear)
        linear.weight = nn.Parameter(weight)
        linear.register_forward_pre_hook(lambda _, given: (per_token(given[0]),))
    return copied


def error(model: nn.Module, other: nn.Module, inputs: list[tuple[Tensor, ...]]) -> float:
    with torch.no_grad():
        found = [(model(*one) - other(*one)).square().mean() for one in inputs]
    return float(torch.stack(found).mean())


def grid_of(weight: Tensor, setting: Setting) -> Tensor:
    dtype = torch.bfloat16 if setting.group else torch.float32
    return nearest.fit(weight, setting.bits, setting.group, scale_dtype=dtype).dequantized()


def test_nearer_to_the_float_model_on_new_text() -> None:
    model = Reader()
    before = copy.deepcopy(model.state_dict())
    seen: list[tuple[int, float]] = []
    found = qat.train(model, texts(64, 0), SETTINGS, 60, 0, lambda *now: seen.append(now))
    assert set(found) == {"first.weight", "second.weight"}
    assert [step for step, _ in seen] == list(range(1, 61))
    plain = {name: grid_of(before[name], SETTINGS[name]) for name in found}
    unseen = texts(40, 1)
    trained = error(model, rounded(model, found), unseen)
    assert trained < 0.8 * error(model, rounded(model, plain), unseen)
    # The teacher is as it was, and still trains what it trained before.
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_rounding_to_nearest_finds_the_trained_grid() -> None:
    found = qat.train(Reader(), texts(16, 0), SETTINGS, 10)
    for name, weight in found.items():
        assert torch.allclose(grid_of(weight, SETTINGS[name]), weight, rtol=1e-5, atol=1e-8)


def test_a_seed_decides() -> None:
    one, again, other = (
        qat.train(Reader(), texts(32, 0), SETTINGS, 10, seed) for seed in (3, 3, 4)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_shared_weight_is_left_alone() -> None:
    assert set(qat.train(Reader(tied=True), texts(8, 0), SETTINGS, 2)) == {"first.weight"}


def test_refusals() -> None:
    for inputs, steps in (([], 5), (texts(4, 0), 0)):
        with pytest.raises(ValueError, match="train nothing"):
            qat.train(Reader(), inputs, SETTINGS, steps)
    for settings in ({}, {"first.weight": Setting(FP32)}, {"table.weight": Setting(8)}):
        with pytest.raises(ValueError, match="8 or 4 bits"):
            qat.train(Reader(), texts(4, 0), settings, 1)
    with pytest.raises(ValueError, match="groups of 24 do not divide 64"):
        qat.train(Reader(), texts(4, 0), {"first.weight": Setting(4, 24)}, 1)


def test_a_transformer(case: Callable[[str], Case]) -> None:
    this = case("bert")
    linears = {
        f"{path}.weight": Setting(4, 32)
        for path, module in this.eager.named_modules()
        if isinstance(module, nn.Linear) and module.in_features % 32 == 0
    }
    losses: list[float] = []
    found = qat.train(
        this.eager, calibration(this), linears, 12, 0, lambda _, loss: losses.append(loss)
    )
    assert 0 < len(found) <= len(linears)
    assert all(bool(torch.isfinite(weight).all()) for weight in found.values())
    assert sum(losses[-4:]) < sum(losses[:4])
