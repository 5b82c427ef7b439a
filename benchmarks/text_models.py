"""Small decoders and encoder-decoders of many families, trained for some seconds.

With random weights all tokens are nearly as likely, and four bits change the first choice of any
of them. A few hundred steps on what `examples/tiny_decoder.py` and `examples/tiny_seq2seq.py` write
are enough for a model to know what it says next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from examples import tiny_decoder, tiny_seq2seq
from tests.support.models import write_json

CONTEXT, SOURCE = 128, 64
STEPS = 250
EXAMPLES = 8
_VOCABULARY = 384
_LENGTH, _BATCH = 64, 8
_RATE = 3e-3
_PAD, _END, _UNKNOWN = tiny_seq2seq.PAD, tiny_seq2seq.END, tiny_seq2seq.UNKNOWN


@dataclass(frozen=True)
class TextFamily:
    """One architecture in small.

    Attributes:
        model: what the tests call it: a model_type, or a shape of one.
        config: what to set in its config class besides.
        answers: whether it is an encoder-decoder.
        trained: whether it is trained before it is exported; one that is refused need not be.
    """

    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    answers: bool = False
    trained: bool = True


_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_POSITIONS = {"max_position_embeddings": CONTEXT}
FAMILIES: dict[str, TextFamily] = {
    "GPT-2": TextFamily("gpt2"),
    "GPT-Neo": TextFamily("gpt_neo"),
    "GPT-J": TextFamily("gptj"),
    "Phi-2": TextFamily("phi"),
    "Phi-3": TextFamily("phi3"),
    "Llama 2": TextFamily("llama", {"num_key_value_heads": 4}),
    "Llama 3.2": TextFamily("llama", {"tie_word_embeddings": True, "rope_parameters": _LLAMA3}),
    "Qwen 2.5": TextFamily("qwen2", {"tie_word_embeddings": True}),
    "Qwen 3": TextFamily("qwen3"),
    "SmolLM2": TextFamily("llama", {"tie_word_embeddings": True}),
    "SmolLM3": TextFamily("smollm3"),
    "Gemma 2": TextFamily("gemma2"),
    "Gemma 3": TextFamily("gemma3_text"),
    "Granite": TextFamily("granite"),
    "OLMo 2": TextFamily("olmo2"),
    "T5": TextFamily("t5", answers=True),
    "Flan-T5": TextFamily("flan-t5", answers=True),
    "BART": TextFamily("bart", _POSITIONS, answers=True),
    "Marian": TextFamily("marian", _POSITIONS, answers=True),
}
# Architectures that nobody had in mind.
STRANGERS: dict[str, TextFamily] = {
    "StableLM": TextFamily("stablelm"),
    "Cohere": TextFamily("cohere"),
    "OPT": TextFamily("opt"),
    "Falcon": TextFamily("falcon", trained=False),
    "Mamba": TextFamily("mamba", trained=False),
    "Pegasus": TextFamily("pegasus", _POSITIONS, answers=True),
    # It counts positions by what is no padding, so its answers begin with the end token, as they do
    # in every checkpoint of it; begun with padding, a whole text is not its tokens one by one.
    "M2M100": TextFamily("m2m_100", _POSITIONS | {"decoder_start_token_id": 1}, answers=True),
}


def write(folder: Path, family: TextFamily) -> Path:
    """A Hugging Face folder; the same family gives the same weights."""
    import torch

    folder.mkdir(parents=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    (_write_answering if family.answers else _write_continuing)(folder, family)
    return folder


def samples(path: Path, *, answers: bool) -> Path:
    """A file of texts that no training saw, one a line."""
    if answers:
        found = [text for text, _ in islice(tiny_seq2seq.pairs(1, held_out=True), EXAMPLES)]
    else:
        turns = (_turn(text) for text in tiny_decoder.dialogues(1, held_out=True))
        # Every second one is asked as a chat; the others are read as they are.
        found = [
            asked if number % 2 else f"{asked} {told}"
            for number, (asked, told) in enumerate(islice(turns, EXAMPLES))
        ]
    path.write_text("\n".join(found) + "\n", encoding="utf-8")
    return path


def _turn(dialogue: str) -> tuple[str, str]:
    """Question and answer that a dialogue begins with."""
    asked, _, rest = dialogue.partition(tiny_decoder.ASSISTANT)
    told = rest.partition(tiny_decoder.END)[0]
    return asked.partition(tiny_decoder.USER)[2].removesuffix(tiny_decoder.END), told


def _write_continuing(folder: Path, family: TextFamily) -> None:
    import torch

    from tests.converters.generation.decoders import tiny

    specials = list(tiny_decoder.SPECIALS)
    tokenizer = _bpe(islice(tiny_decoder.dialogues(0), 1000), specials)
    ids = {name: tokenizer.token_to_id(name) for name in specials}
    model = tiny(
        family.model,
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=ids[tiny_decoder.BOS],
        eos_token_id=ids[tiny_decoder.END],
        pad_token_id=ids[tiny_decoder.END],
        **family.config,
    )

    def batches() -> Iterator[dict[str, Any]]:
        rows = _rows(tokenizer)
        while True:
            batch = torch.tensor(list(islice(rows, _BATCH)))
            yield {"input_ids": batch, "labels": batch, "use_cache": False}

    _finish(folder, family, model, batches())
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tiny_decoder.BOS,
        "eos_token": tiny_decoder.END,
        "model_max_length": CONTEXT,
        "chat_template": tiny_decoder.TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)


def _rows(tokenizer: Any) -> Iterator[list[int]]:
    row: list[int] = []
    for text in tiny_decoder.dialogues(0):
        row += tokenizer.encode(text).ids
        if len(row) >= _LENGTH:
            yield row[:_LENGTH]
            row = []


def _write_answering(folder: Path, family: TextFamily) -> None:
    from tokenizers import processors

    from tests.converters.generation.seq2seq.models import tiny

    texts = (" ".join(pair) for pair in islice(tiny_seq2seq.pairs(0), 1000))
    tokenizer = _bpe(texts, [_PAD, _END, _UNKNOWN])
    end = tokenizer.token_to_id(_END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {_END}", pair=f"$A {_END} $B {_END}", special_tokens=[(_END, end)]
    )
    ids: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "pad_token_id": tokenizer.token_to_id(_PAD),
        "eos_token_id": end,
        "decoder_start_token_id": tokenizer.token_to_id(_PAD),
    }
    model = tiny(family.model, **(ids | dict(family.config)))

    def batches() -> Iterator[dict[str, Any]]:
        source = tiny_seq2seq.pairs(0)
        while True:
            yield _padded(list(islice(source, _BATCH)), tokenizer)

    _finish(folder, family, model, batches())
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END,
        "pad_token": _PAD,
        "unk_token": _UNKNOWN,
        "model_max_length": SOURCE,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings)


def _padded(rows: list[tuple[str, str]], tokenizer: Any) -> dict[str, Any]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    texts = [torch.tensor(tokenizer.encode(text).ids) for text, _ in rows]
    told = [torch.tensor(tokenizer.encode(answer).ids) for _, answer in rows]
    return {
        "input_ids": pad_sequence(texts, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(ids) for ids in texts], batch_first=True),
        "labels": pad_sequence(told, batch_first=True, padding_value=-100),
    }


def _finish(folder: Path, family: TextFamily, model: Any, batches: Iterator[Any]) -> None:
    """Train the model if it is to be, and save it."""
    import torch

    if family.trained:
        model.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
        for batch in islice(batches, STEPS):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            decay.step()
    model.eval().save_pretrained(folder)


def _bpe(texts: Iterator[str], specials: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    unknown = _UNKNOWN if _UNKNOWN in specials else None
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
