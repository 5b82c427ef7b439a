"""Small decoders with random weights, made from their config classes, and their artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edgekit.runtime.generation import executorch as run_executorch
from edgekit.runtime.generation import onnx as run_onnx
from edgekit.runtime.generation.loop import Steps
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation import executorch, onnx
from edgekit_converters.generation.capture import capture_buffers, capture_passed, prepared
from edgekit_converters.quiet import quiet

CONTEXT = 96
VOCABULARY = 128
WINDOW = 8

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    # Large enough that no two tokens are nearly as likely.
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT2 = {"vocab_size", "initializer_range", "pad_token_id", "bos_token_id", "eos_token_id"}
_GPT2_SIZES = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}
_SLIDING = {
    "head_dim": 16,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
}
_OWN: dict[str, dict[str, Any]] = {
    "gpt2": _GPT2_SIZES,
    "gptj": _GPT2_SIZES | {"rotary_dim": 8},
    "gpt_neo": {
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "max_position_embeddings": 256,
        "attention_types": [[["global", "local"], 1]],
        "window_size": WINDOW,
    },
    "gemma2": _SLIDING,
    "gemma3_text": _SLIDING,
    "qwen3": {"head_dim": 16},
    "mistral": {"sliding_window": WINDOW},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
}
FAMILIES = (
    "llama",
    "qwen2",
    "qwen3",
    "smollm3",
    "gpt2",
    "gpt_neo",
    "gptj",
    "phi",
    "phi3",
    "gemma2",
    "gemma3_text",
    "granite",
    "olmo2",
)
# Nothing here was written for these.
STRANGERS = ("mistral", "stablelm", "starcoder2")


def tiny(model_type: str, seed: int = 0, **changes: Any) -> Any:
    """A two-layer model of a family, eager, fp32."""
    from transformers import AutoConfig, AutoModelForCausalLM

    own = _OWN.get(model_type, {})
    shared = _SIZES
    if "n_embd" in own or "num_layers" in own:
        shared = {name: value for name, value in _SIZES.items() if name in _GPT2}
    config = AutoConfig.for_model(model_type, **{**shared, **own, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    return model.eval().requires_grad_(False)


def texts(count: int, length: int, seed: int = 0) -> list[list[int]]:
    """Random token ids, none of them special."""
    made = torch.Generator().manual_seed(seed)
    rows: list[list[int]] = torch.randint(3, VOCABULARY, (count, length), generator=made).tolist()
    return rows


def captured(model: Any, runtime: str, context: int = CONTEXT) -> Captured:
    """The rewritten graph of one of the two forms."""
    take = capture_buffers if runtime == "executorch" else capture_passed
    with quiet(), prepared(model, model.config.model_type, context) as decoder:
        found = take(decoder)
    return executorch.rewritten(found)


def lowered(edge: Captured, runtime: str, grids: dict[str, Any] | None = None) -> Lowered:
    """The artifact of a rewritten graph."""
    with quiet():
        if runtime == "executorch":
            return executorch.lower(edge, grids or {})
        return onnx.lower(edge, grids or {})


def opened(artifact: Lowered, edge: Captured, folder: Path) -> Steps:
    """The artifact, ready to run."""
    path = folder / artifact.file
    path.write_bytes(artifact.data)
    module = run_executorch if artifact.runtime == "executorch" else run_onnx
    steps: Steps = module.open_steps(path, edge.signature)
    return steps


def largest(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Largest absolute difference of two lists of logits."""
    return max(
        float(abs(torch.as_tensor(one) - torch.as_tensor(other)).max())
        for one, other in zip(found, wanted, strict=True)
    )
