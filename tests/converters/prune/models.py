"""Small random models of each architecture that can be cut, and inputs for them."""

from __future__ import annotations

from typing import Any

import torch
import transformers

VOCABULARY = 100
_HEADED = {
    "BERT": "AutoModelForMaskedLM",
    "BERT classifier": "AutoModelForSequenceClassification",
    "DistilBERT": "AutoModelForMaskedLM",
    "GPT-2": "AutoModelForCausalLM",
    "Llama, grouped queries": "AutoModelForCausalLM",
    "Llama, one key head": "AutoModelForCausalLM",
    "T5": "AutoModelForSeq2SeqLM",
}
NAMES = tuple(_HEADED)
FREE_HEADS = ("Llama, grouped queries", "Llama, one key head", "T5")
ROOT_MEAN_SQUARE = FREE_HEADS
# A block whose weights are zero passes its input on only where the norm comes before it.
PRE_NORM = ("GPT-2", *FREE_HEADS)


def config(name: str) -> Any:
    """The config of a case."""
    bert = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    }
    distilbert = {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 2}
    gpt2 = {"n_embd": 64, "n_head": 2, "n_layer": 2, "bos_token_id": 1, "eos_token_id": 1}
    llama = {
        "hidden_size": 64,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 96,
        "tie_word_embeddings": True,
    }
    t5 = {
        "d_model": 64,
        "d_ff": 128,
        "d_kv": 16,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
        "tie_word_embeddings": True,
    }
    match name:
        case "BERT" | "BERT classifier":
            return transformers.BertConfig(vocab_size=VOCABULARY, **bert)
        case "DistilBERT":
            return transformers.DistilBertConfig(vocab_size=VOCABULARY, **distilbert)
        case "GPT-2":
            return transformers.GPT2Config(vocab_size=VOCABULARY, **gpt2)
        case "Llama, grouped queries":
            return transformers.LlamaConfig(vocab_size=VOCABULARY, **llama)
        case "Llama, one key head":
            sizes = {**llama, "num_key_value_heads": 1, "tie_word_embeddings": False}
            return transformers.LlamaConfig(vocab_size=VOCABULARY, **sizes)
        case "T5":
            return transformers.T5Config(vocab_size=VOCABULARY, **t5)
    raise KeyError(name)


def model(name: str, seed: int = 0) -> Any:
    """A case with random weights, biases and norms included."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(transformers, _HEADED[name]).from_config(
            config(name), attn_implementation="eager"
        )
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return made.eval().requires_grad_(False)


def outputs(name: str, of: Any, seed: int = 0) -> torch.Tensor:
    """Logits of a case for two random texts."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, VOCABULARY, (2, 9), generator=draw)
    more = {"labels": ids} if name == "T5" else {}
    with torch.no_grad():
        logits: torch.Tensor = of(input_ids=ids, **more).logits
    return logits
