"""BERT and its kin: heads have no width of their own in the config, so they go with the width."""

MODEL_TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
HIDDEN, FFN, HEADS, LAYERS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    {
        "encoder.layer": "num_hidden_layers",
    },
)
QUERIES = r"attention\.self\.query\.(weight|bias)$"
KEYS = r"attention\.self\.(key|value)\.(weight|bias)$"
OUTPUT = r"attention\.output\.dense\.weight$"
NORM = "layer"
