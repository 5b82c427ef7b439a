"""Small models of many encoder families, each with a small real tokenizer of the family's kind.

One row an architecture: sizes from its own config class, and which tokenizer it is published with.
The rows are data: what edgekit does with them may not depend on their names.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer

from tests.support.models import LABELS, MAX_POSITIONS, save_weights, write_json
from tests.support.vocabulary import SENTENCES, SPECIALS, wordpiece

_ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
_BRACKETS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_T5 = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
_XLNET = {
    "unk": "<unk>",
    "bos": "<s>",
    "eos": "</s>",
    "cls": "<cls>",
    "sep": "<sep>",
    "pad": "<pad>",
    "mask": "<mask>",
}
_VOCABULARY = 600

# What most config classes call the sizes.
_SIZES: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_POSITIONS,
    "initializer_range": 0.15,
}


# Whose head each task wants; the others take the bare model.
HEADS: Mapping[str, str] = {
    "fill-mask": "AutoModelForMaskedLM",
    "multiple-choice": "AutoModelForMultipleChoice",
    "question-answering": "AutoModelForQuestionAnswering",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
}
INFERENCE_LABELS = ("contradiction", "neutral", "entailment")


@dataclass(frozen=True)
class Family:
    """One architecture in small.

    Attributes:
        config: name of its transformers config class.
        tokenizer: a key of ``TOKENIZERS``.
        sizes: what its config class is given besides or instead of the usual sizes.
        drop: usual sizes that its config class does not know.
        auto_class: whose model it is when no head is asked for.
    """

    config: str
    tokenizer: str = "wordpiece"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    drop: Sequence[str] = ()
    auto_class: str = "AutoModel"


FAMILIES: dict[str, Family] = {
    "BERT": Family("BertConfig"),
    "DistilBERT": Family(
        "DistilBertConfig",
        sizes={"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4},
        drop=("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    ),
    "TinyBERT": Family("BertConfig", sizes={"hidden_size": 312 // 6, "num_attention_heads": 2}),
    "MobileBERT": Family(
        "MobileBertConfig",
        sizes={
            "embedding_size": 32,
            "intra_bottleneck_size": 32,
            "intermediate_size": 64,
            "num_feedforward_networks": 2,
        },
    ),
    "RoBERTa": Family(
        "RobertaConfig", "byte-level BPE", {"max_position_embeddings": MAX_POSITIONS + 2}
    ),
    "ELECTRA": Family("ElectraConfig", sizes={"embedding_size": 32}),
    "ALBERT": Family("AlbertConfig", "Unigram", {"embedding_size": 32}),
    "DeBERTa v1": Family(
        "DebertaConfig",
        "byte-level BPE",
        {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    ),
    "DeBERTa v2/v3": Family(
        "DebertaV2Config",
        "Unigram",
        {
            "relative_attention": True,
            "position_buckets": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "pos_att_type": ["p2c", "c2p"],
            "type_vocab_size": 0,
        },
    ),
    "ModernBERT": Family(
        "ModernBertConfig",
        "byte-level BPE",
        {"local_attention": 16, "global_attn_every_n_layers": 2},
    ),
    "MPNet": Family("MPNetConfig", sizes={"max_position_embeddings": MAX_POSITIONS + 2}),
    "XLNet": Family(
        "XLNetConfig",
        "Unigram XLNet",
        {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128},
        drop=tuple(name for name in _SIZES if name != "initializer_range"),
    ),
    "T5 encoder": Family(
        "T5Config",
        "Unigram T5",
        {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_layers": 2, "num_heads": 4},
        drop=tuple(_SIZES),
        auto_class="AutoModelForTextEncoding",
    ),
}


def write_family(
    folder: Path,
    family: Family,
    *,
    head: str | None = None,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A Hugging Face folder of one family; the same arguments give the same weights.

    Args:
        folder: where to write it; created when missing.
        family: a row of ``FAMILIES``, or one like it.
        head: the transformers auto class whose head it gets; none unless given.
        labels: class names, for a classifier.
        seed: of the weights.
        config: what to set in its config.
    """
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, roles = TOKENIZERS[family.tokenizer]()
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {name: size for name, size in _SIZES.items() if name not in family.drop}
    settings = {"vocab_size": tokenizer.get_vocab_size(), **sizes, **family.sizes}
    settings |= {
        f"{role}_token_id": tokenizer.token_to_id(token)
        for role, token in roles.items()
        if role in ("pad", "bos", "eos", "cls", "sep")
    }
    if head is not None and head.endswith("Classification"):
        settings["id2label"] = dict(enumerate(labels))
        settings["label2id"] = {label: i for i, label in enumerate(labels)}
    made = getattr(transformers, family.config)(**settings, **config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, head or family.auto_class).from_config(made)
    made.architectures = [type(model).__name__]
    made.to_json_file(folder / "config.json")
    save_weights(model, folder / "model.safetensors")
    names = {f"{role}_token": token for role, token in roles.items()}
    types = "token_type_ids" in signature(model.forward).parameters
    inputs = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    settings = {
        "model_max_length": MAX_POSITIONS,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": inputs,
    }
    write_json(folder / "tokenizer_config.json", names | settings)
    write_json(folder / "special_tokens_map.json", names)
    return folder


@functools.cache
def _bpe_json() -> str:
    tokenizer = Tokenizer(models.BPE(unk_token=_ROBERTA["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_ROBERTA.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    return str(tokenizer.to_str())


@functools.cache
def _unigram_json(roles: tuple[str, ...], single: str, pair: str) -> str:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    unknown = next(token for token in roles if "unk" in token.lower())
    trainer = UnigramTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(roles),
        unk_token=unknown,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    used = [word.partition(":")[0] for word in f"{single} {pair}".split() if "$" not in word]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in dict.fromkeys(used)],
    )
    return str(tokenizer.to_str())


def _unigram(roles: dict[str, str], single: str, pair: str) -> tuple[Tokenizer, dict[str, str]]:
    return Tokenizer.from_str(_unigram_json(tuple(roles.values()), single, pair)), roles


# Kind -> a fresh tokenizer and the role of each special token.
TOKENIZERS: dict[str, Any] = {
    "wordpiece": lambda: (wordpiece(), SPECIALS),
    "byte-level BPE": lambda: (Tokenizer.from_str(_bpe_json()), _ROBERTA),
    "Unigram": lambda: _unigram(_BRACKETS, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    "Unigram T5": lambda: _unigram(_T5, "$A </s>", "$A </s> $B </s>"),
    "Unigram XLNet": lambda: _unigram(
        _XLNET, "$A:0 <sep>:0 <cls>:2", "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2"
    ),
}

# Architectures that nobody had in mind: they show what the generic path does with a new one.
STRANGERS: dict[str, Family] = {
    "BigBird": Family("BigBirdConfig", "Unigram", {"attention_type": "original_full"}),
    "ConvBERT": Family("ConvBertConfig", sizes={"embedding_size": 32}),
    "EuroBERT": Family("EuroBertConfig", "byte-level BPE", {"num_key_value_heads": 2}),
    "FNet": Family("FNetConfig", "Unigram", drop=("num_attention_heads",)),
    "Longformer": Family("LongformerConfig", "byte-level BPE", {"attention_window": 16}),
    "NomicBERT": Family("NomicBertConfig"),
    "Nystromformer": Family(
        "NystromformerConfig",
        "Unigram",
        {"num_landmarks": 8, "segment_means_seq_len": 64, "conv_kernel_size": 3},
    ),
    "RoFormer": Family("RoFormerConfig", sizes={"embedding_size": 64}),
}
