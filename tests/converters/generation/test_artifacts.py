"""What the two artifacts of a decoder say of themselves, refuse, and keep of a quantized model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgekit.errors import InternalError, SpecError, Unsupported
from edgekit.runtime.onnx import library
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation.attention import window_of
from edgekit_converters.generation.capture import prepared
from edgekit_converters.generation.parity import (
    compare,
    reference_logits,
    stepped_logits,
    teacher_forced,
)
from edgekit_converters.generation.quantized import calibrated, replayed
from edgekit_converters.quiet import quiet
from tests.converters.generation.decoders import (
    CONTEXT,
    VOCABULARY,
    captured,
    lowered,
    opened,
    texts,
    tiny,
)

Made = tuple[Captured, Lowered]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama")


@pytest.fixture(scope="module")
def plain(model: Any) -> Callable[[str], Made]:
    """The fp32 artifact of a runtime."""

    @cache
    def made(runtime: str) -> Made:
        edge = captured(model, runtime)
        return edge, lowered(edge, runtime)

    return made


def test_the_cache_is_planned_memory(model: Any, plain: Callable[[str], Made]) -> None:
    edge, artifact = plain("executorch")
    longer = captured(model, "executorch", 2 * CONTEXT)
    with quiet(), prepared(model, "llama", CONTEXT) as decoder:
        one = decoder.cache_bytes
    # Two layers, two heads of sixteen, keys and values.
    assert one == CONTEXT * 2 * 2 * 2 * 16 * 4
    assert artifact.planned_memory is not None
    assert artifact.planned_memory > one
    more = lowered(longer, "executorch").planned_memory
    assert more is not None
    assert more - artifact.planned_memory >= one
    assert edge.signature.inputs[0].dims[1].maximum == CONTEXT


def test_a_pte_names_the_operators_that_it_needs(plain: Callable[[str], Made]) -> None:
    _, artifact = plain("executorch")
    assert {"llama::custom_sdpa.out", "llama::update_cache.out"} <= set(artifact.operators)
    assert artifact.backends == ("XnnpackBackend",)
    assert artifact.delegation is not None
    # Two layers: before each attention, after the last, and the head for one token alone.
    assert artifact.delegation.calls == 4
    assert not any("slice" in name and n > 1 for name, n in artifact.delegation.left.items())


def test_beyond_the_context_a_pte_fails_and_goes_on(
    model: Any, plain: Callable[[str], Made], tmp_path: Path
) -> None:
    edge, artifact = plain("executorch")
    steps = opened(artifact, edge, tmp_path)
    ids = texts(1, CONTEXT)[0]
    with pytest.raises(InternalError, match=f"position {CONTEXT}"):
        steps.feed([5, 6], CONTEXT)
    assert teacher_forced(model, steps, [ids]).max_difference <= 1e-4
    steps.close()


def test_an_onnx_has_the_names_that_other_tools_expect(plain: Callable[[str], Made]) -> None:
    _, artifact = plain("onnx")
    found = onnx.load_from_string(artifact.data)
    inputs = {value.name: _dims(value) for value in found.graph.input}
    outputs = {value.name: _dims(value) for value in found.graph.output}
    caches = [f"{layer}.{kind}" for layer in range(2) for kind in ("key", "value")]
    shapes = {
        "input_ids": (1, "tokens"),
        "attention_mask": (1, "total"),
        "position_ids": (1, "tokens"),
    }
    assert inputs == shapes | {f"past_key_values.{name}": (1, 2, "past", 16) for name in caches}
    assert outputs == {"logits": (1, 1, VOCABULARY)} | {
        f"present.{name}": (1, 2, "total", 16) for name in caches
    }
    kinds = [node.op_type for node in found.graph.node]
    # Two layers; queries and keys are turned by one operator each.
    assert kinds.count("GroupQueryAttention") == 2
    assert kinds.count("RotaryEmbedding") == 4
    assert not {"Neg", "Reciprocal"} & set(kinds)


def test_onnx_runtime_knows_the_norms(plain: Callable[[str], Made], tmp_path: Path) -> None:
    options = library().SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    library().InferenceSession(plain("onnx")[1].data, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx")
    kinds = [node.op_type.removeprefix("Skip") for node in loaded.graph.node]
    assert kinds.count("SimplifiedLayerNormalization") == 5
    assert "ReduceMean" not in kinds


@pytest.mark.parametrize("model_type", ["gptj", "phi"])
def test_what_one_operator_does_not_turn_is_turned_by_many(model_type: str, tmp_path: Path) -> None:
    """Pairs instead of halves, and a part of a head."""
    model = tiny(model_type)
    edge = captured(model, "onnx", 32)
    artifact = lowered(edge, "onnx")
    assert "com.microsoft::RotaryEmbedding" not in artifact.operators
    steps = opened(artifact, edge, tmp_path)
    assert teacher_forced(model, steps, texts(1, 32)).max_difference <= 1e-4
    steps.close()


def test_an_onnx_runs_with_caches_that_grow(
    model: Any, plain: Callable[[str], Made], tmp_path: Path
) -> None:
    """As other tools run it: an empty past at first, then whatever came out."""
    _, artifact = plain("onnx")
    session = library().InferenceSession(artifact.data, providers=["CPUExecutionProvider"])
    ids = texts(1, 24)[0]
    with torch.no_grad():
        wanted = model(torch.tensor([ids])).logits[0].numpy()
    names = [value.name for value in session.get_inputs()[3:]]
    past = {name: np.zeros((1, 2, 0, 16), np.float32) for name in names}
    at = 0
    for count in (9, 1, 1, 6, 7):
        given = {
            "input_ids": np.array([ids[at : at + count]]),
            "attention_mask": np.ones((1, at + count), np.int64),
            "position_ids": np.arange(at, at + count)[None],
        }
        logits, *present = session.run(None, given | past)
        at += count
        assert np.abs(logits[0, 0] - wanted[at - 1]).max() <= 1e-4
        assert present[0].shape == (1, 2, at, 16)
        past = dict(zip(names, present, strict=True))


class InPyTorch:
    """The graph that a ``.pte`` is lowered from, as a decoder."""

    context, vocabulary = CONTEXT, VOCABULARY

    def __init__(self, edge: Captured) -> None:
        self._graph = edge.module()

    def feed(self, ids: Sequence[int], position: int) -> Any:
        with torch.no_grad():
            found = self._graph(torch.tensor([list(ids)]), torch.tensor([position]))
        return found[0].numpy()

    def close(self) -> None:
        self._graph = None


def test_four_bits_are_in_both_files_and_are_the_same(
    model: Any, plain: Callable[[str], Made], tmp_path: Path
) -> None:
    edge, decisions = calibrated(captured(model, "executorch"), "int4-int8", texts(6, 60, seed=2))
    bits = {row.tensor: row.bits for row in decisions.rows}
    assert bits.pop("model.model.embed_tokens.weight") == 8
    assert set(bits.values()) == {4}
    assert len(bits) == 15
    ids = texts(1, 60, seed=3)[0]
    wanted = stepped_logits(InPyTorch(edge), ids, 8)
    followed = np.array([*ids[8:], -1])
    weights = sum(p.nbytes for p in model.parameters())
    forms = {"executorch": edge, "onnx": replayed(captured(model, "onnx"), decisions)}
    for runtime, form in forms.items():
        artifact = lowered(form, runtime, decisions.grids)
        assert len(plain(runtime)[1].data) > weights
        assert len(artifact.data) < weights * 0.35
        steps = opened(artifact, form, tmp_path)
        # What differs is how each rounds its activations to 8 bits.
        found = compare(wanted, stepped_logits(steps, ids, 8), followed)
        assert 0 < found.mean_divergence < 0.01
        assert found.top1_agreement >= 0.8
        eager = compare(reference_logits(model, ids)[7:], wanted, followed)
        assert found.mean_divergence < eager.mean_divergence < 0.5
        steps.close()


def test_a_context_that_the_model_lacks_is_refused(model: Any) -> None:
    for context in (4, 257):
        with (
            pytest.raises(SpecError, match=str(context)) as caught,
            prepared(model, "llama", context),
        ):
            pass
        assert "8 to 256" in caught.value.hint


def test_frequencies_that_depend_on_the_length_are_refused() -> None:
    changes = {
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 8,
            "long_factor": [4.0] * 8,
        },
        "original_max_position_embeddings": 64,
    }
    model = tiny("phi3", **changes)
    with quiet(), prepared(model, "phi3", 64):
        pass
    with pytest.raises(Unsupported, match="below 65 tokens"), quiet(), prepared(model, "phi3", 65):
        pass


_LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "first_k_dense_replace": 2,
}


@pytest.mark.parametrize(
    ("model_type", "changes", "said"),
    [
        ("gpt_oss", {"num_local_experts": 2, "num_experts_per_tok": 1}, "attention sinks"),
        ("deepseek_v3", _LATENT, "keys of 16 features and values of 8"),
        ("falcon", {}, "falcon models compute attention where no cache"),
        ("bloom", {"n_head": 4}, "bloom models compute attention where no cache"),
    ],
)
def test_attention_without_a_kernel_is_refused_by_name(
    model_type: str, changes: dict[str, Any], said: str
) -> None:
    model = tiny(model_type, **changes)
    with pytest.raises(Unsupported, match=said), quiet(), prepared(model, model_type, 32):
        pass
    assert model.config._attn_implementation == "eager"


def test_a_mask_without_a_kernel_is_refused() -> None:
    def chunked(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        return (key <= query) & (key // 8 == query // 8)

    def sliding(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        return (key <= query) & (key > query - 5)

    with pytest.raises(Unsupported, match="neither causal nor a sliding window"):
        window_of(chunked, 32)
    # Within one chunk it is causal, and that is nothing special.
    assert window_of(chunked, 8) is None
    assert window_of(sliding, 300) == 5
    assert window_of(sliding, 5) is None


def _dims(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
