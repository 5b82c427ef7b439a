"""DistilBERT: as BERT, with names of its own."""

MODEL_TYPES = ("distilbert",)
HIDDEN, FFN, HEADS, LAYERS = "dim", "hidden_dim", "n_heads", {"transformer.layer": "n_layers"}
QUERIES = r"attention\.q_lin\.(weight|bias)$"
KEYS = r"attention\.[kv]_lin\.(weight|bias)$"
OUTPUT = r"attention\.out_lin\.weight$"
NORM = "layer"
