"""Llama and its kin: grouped-query heads of a width that the config states."""

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite")
HIDDEN, FFN, HEADS = "hidden_size", "intermediate_size", "num_attention_heads"
LAYERS = {"layers": "num_hidden_layers"}
QUERIES = r"self_attn\.q_proj\.(weight|bias)$"
KEYS = r"self_attn\.[kv]_proj\.(weight|bias)$"
OUTPUT = r"self_attn\.o_proj\.weight$"
NORM, EPSILON = "rms", "rms_norm_eps"
KEY_HEADS, HEAD_WIDTH = "num_key_value_heads", "head_dim"


def prepare(config: object) -> None:
    """Say the width of a head, which follows from the model's where nothing is said."""
    if getattr(config, "head_dim", None) is None:
        width = config.hidden_size // config.num_attention_heads  # type: ignore[attr-defined]
        config.head_dim = width  # type: ignore[attr-defined]
    if getattr(config, "num_key_value_heads", None) is None:
        config.num_key_value_heads = config.num_attention_heads  # type: ignore[attr-defined]
