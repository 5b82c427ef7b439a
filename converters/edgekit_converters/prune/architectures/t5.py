"""T5: encoder and decoder; position biases make heads of one number one unit in all layers."""

MODEL_TYPES = ("t5", "mt5")
HIDDEN, FFN, HEADS = "d_model", "d_ff", "num_heads"
LAYERS = {"encoder.block": "num_layers", "decoder.block": "num_decoder_layers"}
QUERIES = r"Attention\.q\.weight$"
KEYS = r"Attention\.[kv]\.weight$"
OUTPUT = r"Attention\.o\.weight$"
NORM, EPSILON = "rms", "layer_norm_epsilon"
HEAD_WIDTH = "d_kv"
BIASES = r"SelfAttention\.relative_attention_bias\.weight$"
# A tied head scales what it reads by the root of the width, which undoes the norm's own change.
UNSCALED = "decoder.final_layer_norm.weight"
