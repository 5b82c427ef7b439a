"""Tiny real Hugging Face folders: random weights that tell texts apart, a real tokenizer.

Each maker fills a folder (created when missing), takes well under a second once torch is imported,
and gives the folder back. The same arguments give the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.vocabulary import SPECIALS, save_wordpiece

LABELS = ("negative", "neutral", "positive")
MAX_POSITIONS = 128


def tiny_bert(
    folder: Path,
    *,
    head: str = "AutoModelForSequenceClassification",
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A two-layer BERT, hidden size 64.

    Args:
        folder: where to write it.
        head: the transformers auto class whose head it gets.
        labels: class names, for a classifier.
        seed: of the weights.
        config: what to set in its BertConfig.
    """
    from transformers import BertConfig

    sizes = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": MAX_POSITIONS,
        "initializer_range": 0.15,
    }
    return write_model(folder, BertConfig, sizes | config, head, labels, seed)


def tiny_distilbert(
    folder: Path,
    *,
    head: str = "AutoModelForSequenceClassification",
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A two-layer DistilBERT, hidden size 64; arguments as in ``tiny_bert``."""
    from transformers import DistilBertConfig

    sizes = {
        "dim": 64,
        "hidden_dim": 128,
        "n_layers": 2,
        "n_heads": 2,
        "max_position_embeddings": MAX_POSITIONS,
        "initializer_range": 0.15,
    }
    return write_model(folder, DistilBertConfig, sizes | config, head, labels, seed)


def tiny_sentence_bert(
    folder: Path,
    *,
    pooling: str = "mean",
    normalize: bool = True,
    max_seq_length: int = 64,
    layout: str = "new",
    seed: int = 0,
    **config: Any,
) -> Path:
    """A tiny BERT saved as sentence-transformers does.

    Args:
        folder: where to write it.
        pooling: ``mean``, ``cls``, ``max`` or ``mean_sqrt_len_tokens``.
        normalize: whether a Normalize module follows.
        max_seq_length: its limit in tokens, special tokens included.
        layout: ``old`` as versions 2 to 4 wrote it (one flag for each pooling mode), ``new`` as 5
            and 6 do.
        seed: of the weights.
        config: what to set in its BertConfig.
    """
    tiny_bert(folder, head="AutoModel", seed=seed, **config)
    new = layout == "new"
    types = {
        "Transformer": "base.modules.transformer" if new else "models",
        "Pooling": "sentence_transformer.modules.pooling" if new else "models",
        "Normalize": "base.modules.normalize" if new else "models",
    }
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    if normalize:
        paths["Normalize"] = "2_Normalize"
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": path,
            "type": f"sentence_transformers.{types[name]}.{name}",
        }
        for i, (name, path) in enumerate(paths.items())
    ]
    write_json(folder / "modules.json", modules)
    hidden = json.loads((folder / "config.json").read_text())["hidden_size"]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    if new:
        settings = {"embedding_dimension": hidden, "pooling_mode": pooling, "include_prompt": True}
        write_json(folder / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
        edit_json(folder / "tokenizer_config.json", model_max_length=max_seq_length)
    else:
        flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
        flags["mean_sqrt_len_tokens"] = "mean_sqrt_len_tokens"
        settings = {f"pooling_mode_{flag}": mode == pooling for mode, flag in flags.items()}
        settings["word_embedding_dimension"] = hidden
        limit = {"max_seq_length": max_seq_length, "do_lower_case": False}
        write_json(folder / "sentence_bert_config.json", limit)
    write_json(folder / "1_Pooling" / "config.json", settings)
    return folder


def write_json(path: Path, data: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True), encoding="utf-8")


def edit_json(path: Path, **changes: object) -> None:
    """Set keys of a JSON file that holds an object."""
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def write_model(
    folder: Path,
    config_class: Any,
    sizes: dict[str, Any],
    head: str = "AutoModel",
    labels: Sequence[str] = LABELS,
    seed: int = 0,
) -> Path:
    """A model of any transformers config class, with the tokenizer; see ``tiny_bert``."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = save_wordpiece(folder)
    settings = {"vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 0} | sizes
    if head == "AutoModelForSequenceClassification":
        settings["id2label"] = dict(enumerate(labels))
        settings["label2id"] = {label: i for i, label in enumerate(labels)}
    config = config_class(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, head).from_config(config)
    config.architectures = [type(model).__name__]
    config.to_json_file(folder / "config.json")
    save_weights(model, folder / "model.safetensors")
    names = {f"{role}_token": token for role, token in SPECIALS.items()}
    limits = {"model_max_length": config.max_position_embeddings, "do_lower_case": True}
    write_json(
        folder / "tokenizer_config.json", names | limits | {"tokenizer_class": "BertTokenizerFast"}
    )
    write_json(folder / "special_tokens_map.json", names)
    return folder


def save_weights(model: Any, path: Path) -> None:
    """Write a state dict; a tied weight is stored once, under its first name."""
    from safetensors.torch import save_file

    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    save_file(tensors, str(path), metadata={"format": "pt"})
