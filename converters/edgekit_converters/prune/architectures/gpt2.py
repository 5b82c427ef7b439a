"""GPT-2: queries, keys and values in one matrix that is stored transposed."""

MODEL_TYPES = ("gpt2",)
HIDDEN, FFN, HEADS, LAYERS = "n_embd", "n_inner", "n_head", {"h": "n_layer"}
QUERIES = r"\.attn\.c_attn\.(weight|bias)$"
KEYS = ""
OUTPUT = r"\.attn\.c_proj\.weight$"
NORM = "layer"
TRANSPOSED = True
FUSED = 3


def prepare(config: object) -> None:
    """Say the feed-forward width, which is four times the model's where nothing is said."""
    if getattr(config, "n_inner", None) is None:
        config.n_inner = 4 * config.n_embd  # type: ignore[attr-defined]
