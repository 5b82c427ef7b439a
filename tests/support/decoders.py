"""Small decoders as Hugging Face folders: random weights, a real BPE, a chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<s>", "</s>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
VOCABULARY = 320
_TEXTS = (
    "The sun rises in the east and sets in the west.",
    "What is the weather like today? Turn on the lamp in the kitchen.",
    "[user] hello [assistant] how can I help you?",
)


def decoder(
    folder: Path, model_type: str = "stablelm", template: str | None = TEMPLATE, **config: Any
) -> Path:
    """Write a two-layer decoder of a family.

    Args:
        folder: where to.
        model_type: of transformers; one that no file here was written for unless given.
        template: the chat template; None for none.
        config: what to set in its config.
    """
    from tests.converters.generation.decoders import tiny

    sizes = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    model = tiny(model_type, **{**sizes, **config})
    model.save_pretrained(folder)
    save_tokenizer(folder, template)
    return folder


def save_tokenizer(folder: Path, template: str | None) -> None:
    """A byte-level BPE that begins every plain text with its begin token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
    }
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Set keys of one of a folder's JSON files; made where it is missing."""
    path = folder / name
    data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(data | changes), encoding="utf-8")
