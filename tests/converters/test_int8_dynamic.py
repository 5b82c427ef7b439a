"""Dynamic int8 linears: every one of them, in the graph and in the .pte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node

from edgekit.parity import cosines
from edgekit.runtime import Floats
from edgekit.runtime.executorch import open_session
from edgekit_converters.export import Lowered, executorch
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.quantize import int8_dynamic
from edgekit_converters.quiet import quiet
from tests.converters.conftest import Case

aten = torch.ops.aten


def target_of(node: object) -> str:
    return str(node.target) if isinstance(node, Node) else ""


def test_no_linear_stays_fp32(int8_pte: Lowered) -> None:
    assert int8_pte.graph is not None
    found = [node for node in int8_pte.graph.graph.nodes if node.target is aten.linear.default]
    assert len(found) == 2 * 6 + 2
    for node in found:
        assert "dequantize_per_channel" in target_of(node.args[1])
        assert "dequantize_per_tensor" in target_of(node.args[0])


def test_every_linear_is_delegated(int8_pte: Lowered) -> None:
    delegation = int8_pte.info.delegation
    assert delegation is not None
    left = " ".join(delegation.left)
    assert all(name not in left for name in ("linear", "mm", "matmul", "dequantize", "qparams"))
    assert int8_pte.info.backends == ("XnnpackBackend",)
    assert 1 <= delegation.calls <= 12
    assert delegation.share >= 0.85
    assert delegation.nodes > sum(delegation.left.values()) > 0


def test_size(int8_pte: Lowered) -> None:
    groups = int8_pte.info.quantization
    weights = sum(group.bytes_after for group in groups)
    before = sum(group.bytes_before for group in groups)
    assert weights < 0.31 * before
    assert weights < int8_pte.info.bytes < weights + 40_000
    assert int8_pte.info.bytes == len(int8_pte.data)


def test_answers_are_near(case: Callable[[str], Case], int8_pte: Lowered, tmp_path: Path) -> None:
    this = case("mask")
    (tmp_path / "model.pte").write_bytes(int8_pte.data)
    session = open_session(tmp_path / "model.pte", this.captured.signature)
    reference, found = [], []
    for length in (2, 3, 16, 77, this.loaded.max_length):
        (ids,) = this.ids(length, length)
        with torch.no_grad():
            reference.append(this.eager(ids).numpy())
        found.append(session.run({"input_ids": ids.numpy()})["logits"])
    session.close()
    near = cosines(reference, found)
    assert near.min() >= 0.99, near
    assert near.max() < 1.0 - 1e-7, "int8 leaves a trace"


class OneLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 32)
        self.linear = nn.Linear(32, 24)

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.linear(self.table(ids))
        return hidden


@pytest.fixture(scope="module")
def one_linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[OneLinear, Captured, Path]:
    torch.manual_seed(0)
    module = OneLinear().eval()
    with torch.no_grad():
        module.table.weight[9] *= 1000.0
    captured = capture(module, ("input_ids",), "out", 8)
    with quiet():
        lowered = executorch.lower(captured, "int8", "xnnpack")
    path = tmp_path_factory.mktemp("linear") / "model.pte"
    path.write_bytes(lowered.data)
    return module, captured, path


def test_an_outlying_token_takes_nothing_from_the_others(
    one_linear: tuple[OneLinear, Captured, Path],
) -> None:
    module, captured, path = one_linear
    session = open_session(path, captured.signature)

    def run(*ids: int) -> Floats:
        found: Floats = session.run({"input_ids": np.array([ids])})["out"][0]
        return found

    calm, wild = run(1, 2, 3), run(1, 9, 3)
    session.close()
    # With one scale for the whole tensor, tokens 1 and 3 would be rounded to nothing beside 9.
    np.testing.assert_array_equal(calm[[0, 2]], wild[[0, 2]])
    with torch.no_grad():
        wanted = module(torch.tensor([[1, 9, 3]])).numpy()
    assert cosines([wanted[:, [0, 2]]], [wild[None, [0, 2]]]).min() > 0.999


def test_integer_positions_stay_integers(case: Callable[[str], Case]) -> None:
    """RoBERTa counts its positions with integer arithmetic on the token ids."""
    this = case("roberta")
    captured = this.rewritten()
    with quiet():
        graph = int8_dynamic.apply(captured.module(), captured.example)
    inputs = this.ids(9)
    near = cosines([this.eager(*inputs).numpy()[0]], [graph(*inputs).detach().numpy()[0]])
    assert near.min() >= 0.99
