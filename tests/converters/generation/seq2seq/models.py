"""Small encoder-decoders with random weights, from their config classes, and their artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from edgekit.runtime.generation import seq2seq_executorch, seq2seq_onnx
from edgekit.runtime.generation.seq2seq import TextSteps
from edgekit_converters.export import Lowered
from edgekit_converters.export.capture import Captured
from edgekit_converters.generation.executorch import rewritten
from edgekit_converters.generation.seq2seq import executorch, onnx
from edgekit_converters.generation.seq2seq.capture import (
    DECODE,
    ENCODE,
    capture_buffers,
    capture_encode,
    capture_passed,
    prepared,
)
from edgekit_converters.quiet import quiet

TEXTS = ("one two three four", "five six", "seven eight nine ten eleven twelve")
WORDS = " ".join(TEXTS).split()
SOURCE, TARGET, VOCABULARY = 40, 72, 128
PAD, END, START, BEGIN = 0, 1, 2, 3

_IDS: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
    "eos_token_id": END,
    "decoder_start_token_id": START,
}
_T5: dict[str, Any] = {
    "d_model": 64,
    "d_kv": 16,
    "d_ff": 128,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    # Few and near, so that a short text reaches the last of them.
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "feed_forward_proj": "relu",
}
_BART: dict[str, Any] = {
    "d_model": 64,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "max_position_embeddings": 96,
    # Large enough that no two tokens are nearly as likely.
    "init_std": 0.15,
    "bos_token_id": BEGIN,
}
_FLAN = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
_OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("t5", _T5),
    "flan-t5": ("t5", _T5 | _FLAN),
    "mt5": ("mt5", _T5 | _FLAN),
    "umt5": ("umt5", _T5 | _FLAN),
    "bart": ("bart", _BART),
    "marian": ("marian", _BART | {"scale_embedding": True, "activation_function": "swish"}),
    "mbart": ("mbart", _BART | {"scale_embedding": True}),
    "pegasus": ("pegasus", _BART),
    "m2m_100": ("m2m_100", _BART | {"scale_embedding": True}),
    "blenderbot-small": ("blenderbot-small", _BART),
    "plbart": ("plbart", _BART),
    "led": (
        "led",
        _BART | {"max_encoder_position_embeddings": 96, "max_decoder_position_embeddings": 96},
    ),
    "prophetnet": (
        "prophetnet",
        {
            "hidden_size": 64,
            "num_encoder_layers": 2,
            "num_decoder_layers": 2,
            "num_encoder_attention_heads": 4,
            "num_decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
        },
    ),
}
FAMILIES = ("t5", "flan-t5", "bart", "marian")
# Nothing here was written for these.
STRANGERS = ("mbart", "pegasus", "m2m_100")


def tiny(name: str, seed: int = 0, **changes: Any) -> Any:
    """A two-layer model of a family, eager, fp32."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    model_type, own = _OWN[name]
    config = AutoConfig.for_model(model_type, **{**_IDS, **own, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager")
        _stir(model)
    return model.eval().requires_grad_(False)


def _stir(model: Any) -> None:
    """What starts as zeros or ones in every new model is not so in a trained one."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    bias = getattr(model, "final_logits_bias", None)
    if bias is not None:
        bias += 0.5 * torch.randn_like(bias)


def texts(count: int, length: int, seed: int = 0) -> list[list[int]]:
    """Random token ids, none of them special."""
    made = torch.Generator().manual_seed(seed)
    rows: list[list[int]] = torch.randint(4, VOCABULARY, (count, length), generator=made).tolist()
    return rows


def captured(
    model: Any, runtime: str, source: int = SOURCE, target: int = TARGET
) -> dict[str, Captured]:
    """The rewritten graphs of one of the two forms, by method."""
    take = capture_buffers if runtime == "executorch" else capture_passed
    with quiet(), prepared(model, model.config.model_type, source, target) as looked:
        made = {
            ENCODE: capture_encode(looked, states=runtime == "onnx"),
            DECODE: take(looked),
        }
    return {name: rewritten(found) for name, found in made.items()}


def lowered(
    methods: Mapping[str, Captured], runtime: str, grids: Mapping[str, Any] | None = None
) -> list[Lowered]:
    """The artifact of rewritten graphs: one file, or one for each role."""
    known = grids or {}
    with quiet():
        if runtime == "executorch":
            return [executorch.lower(methods, known)]
        return [onnx.lower(role, methods[role], known.get(role, {})) for role in methods]


def opened(files: list[Lowered], methods: Mapping[str, Captured], folder: Path) -> TextSteps:
    """The artifact, ready to run."""
    runtime = files[-1].runtime
    for artifact in files:
        (folder / artifact.file).write_bytes(artifact.data)
    # The last is the one that answers.
    path, signature = folder / files[-1].file, methods[DECODE].signature
    module = seq2seq_executorch if runtime == "executorch" else seq2seq_onnx
    steps: TextSteps = module.open_steps(path, signature)
    return steps


def save(folder: Path, model: Any) -> Path:
    """A folder with a word for some of the ids."""
    model.save_pretrained(folder)
    words = {"<pad>": PAD, "</s>": END, "<unk>": 2, "<s>": BEGIN}
    words |= {word: 4 + at for at, word in enumerate(WORDS)}
    words |= {f"w{at}": at for at in range(len(words), VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", END)]
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", "<s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24}
    settings |= {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
