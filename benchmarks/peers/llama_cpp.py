"""llama.cpp through llama-cpp-python: every matrix Q4_0, the table included.

Its wheel is built on this machine; that takes a compiler and some minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TITLE = "llama.cpp Q4_0"
REQUIRES = ("llama-cpp-python==0.3.36", "gguf==0.19.0", "safetensors", "numpy")
_ONLY = Path(__file__).resolve().with_suffix(".cmake")
INSTALLED_WITH = {"CMAKE_ARGS": f"-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE={_ONLY}"}
FILE = "model.gguf"

# Name in a Llama's state dict -> name in the file, for what every block has.
_BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def make(source: Path, target: Path, context: int) -> None:
    """Write a GGUF of a Llama with a tied table; it has no tokenizer."""
    import gguf
    import numpy as np
    from safetensors import safe_open

    config = json.loads((source / "config.json").read_bytes())
    writer = gguf.GGUFWriter(target / FILE, "llama")
    _write_facts(writer, config, context)
    kind = gguf.GGMLQuantizationType.Q4_0
    with safe_open(source / "model.safetensors", "numpy") as stored:
        for name in stored.keys():  # noqa: SIM118 (it is no mapping)
            weight = stored.get_tensor(name).astype(np.float32)
            if ".q_proj." in name or ".k_proj." in name:
                heads = "num_attention_heads" if ".q_proj." in name else "num_key_value_heads"
                weight = _interleaved(weight, config[heads])
            if weight.ndim == 1:
                writer.add_tensor(_name(name), weight)
            else:
                writer.add_tensor(_name(name), gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def open_feed(folder: Path, context: int, threads: int) -> Callable[[list[int], int], int]:
    """Load it; one batch takes the whole prompt."""
    import llama_cpp
    import numpy as np

    model = llama_cpp.Llama(
        str(folder / FILE),
        n_ctx=context,
        n_batch=context,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )

    def feed(ids: list[int], position: int) -> int:
        if position == 0:
            model.reset()
        model.eval(ids)
        logits = llama_cpp.llama_get_logits_ith(model.ctx, -1)
        return int(np.ctypeslib.as_array(logits, (model.n_vocab(),)).argmax())

    return feed


def _write_facts(writer: Any, config: dict[str, Any], context: int) -> None:
    heads = config["num_attention_heads"]
    writer.add_context_length(context)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")


def _interleaved(weight: Any, heads: int) -> Any:
    """Rows of a head in the order that llama.cpp turns them in: by pairs, not by halves."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _name(name: str) -> str:
    outside = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}
    if name in outside:
        return f"{outside[name]}.weight"
    number, _, inner = name.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{_BLOCK[inner.removesuffix('.weight')]}.weight"
