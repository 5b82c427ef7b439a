"""The shape of SmolLM2-135M, whose width no group of 128 divides: nothing is silently skipped.

With groups of 128 asked for, other tools leave every linear of width 576 in fp32 without a word and
write 475.7 MB of "quantized" weights (executorch issue 22044). Random weights; two layers are
lowered for real, the thirty of the model are accounted for from the same ledger.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekit_converters.export import executorch
from edgekit_converters.export.capture import Captured, capture
from edgekit_converters.export.weights import weight_bytes
from edgekit_converters.graph import apply_all
from edgekit_converters.quantize import gates
from edgekit_converters.quantize.calibrate import calibrate
from edgekit_converters.quantize.ledger import Row, coverage
from edgekit_converters.quantize.methods import Calibrators
from edgekit_converters.quantize.settings import Choice, settle
from edgekit_converters.quiet import quiet

LAYERS, LOWERED = 30, 2
ASKED = Choice(linear=4, table=8, group=128)


class Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, use_cache=False).logits
        return logits


@pytest.fixture(scope="module")
def calibrated() -> tuple[Captured, dict[str, Any], list[Row], int]:
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=LOWERED,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    with quiet():
        captured = capture(Logits(model), ("input_ids",), "logits", 64)
        graph = captured.module()
        apply_all(graph)
        inputs = [(torch.arange(5, 21)[None],), (torch.arange(100, 140)[None],)]
        plain = Calibrators(scaling="", rounding="nearest", split=False)
        decisions = calibrate(graph, lambda units: settle(units, ASKED), plain, inputs)
        edge = captured.again(graph)
    return edge, decisions.grids, decisions.rows, weight_bytes(edge.module()).total


@pytest.mark.slow
def test_every_group_divides_its_width(calibrated: Any) -> None:
    _, _, rows, _ = calibrated
    assert coverage(rows) == 1.0
    gates.check_coverage(rows)
    groups = {row.columns: row.group for row in rows if row.kind == "linear"}
    assert groups == {576: 64, 1536: 128}
    assert all("128 does not divide 576" in r.reason for r in rows if r.group == 64)


@pytest.mark.slow
def test_the_whole_model_fits_in_102_megabytes(calibrated: Any) -> None:
    _, _, rows, _ = calibrated
    layers = [row for row in rows if "layers." in row.tensor]
    shared = [row for row in rows if "layers." not in row.tensor]
    assert len(layers) == LOWERED * 7
    assert len(shared) == 2, "the table, and the head that is tied to it"
    before = sum(row.bytes_before for row in layers) // LOWERED * LAYERS
    assert 105e6 < before / 4 < 107e6, "134.5 M parameters less the table"
    stored = sum(row.bytes_after for row in layers) // LOWERED * LAYERS
    stored += sum(row.bytes_after for row in shared)
    norms = 4 * 576 * (2 * LAYERS + 1)
    assert stored + norms <= 102e6, stored


@pytest.mark.slow
def test_the_file_is_what_the_ledger_says(calibrated: Any) -> None:
    edge, grids, rows, total = calibrated
    with quiet():
        lowered = executorch.lower(edge, grids, "xnnpack")
    expected = gates.forecast(total, rows)
    gates.check_size(lowered.file, len(lowered.data), expected)
    assert len(lowered.data) > 0.98 * expected
