"""A folder's tokenizer behind transformers' interface, for training and for generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit_converters.folder import read_object
from edgekit_converters.quiet import quiet
from edgekit_converters.tokenizer import load_tokenizer

_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def transformers_tokenizer(folder: Path) -> Any:
    """The folder's ``tokenizer.json`` with its special tokens and its chat template.

    The very tokenizer that an export uses, so that training and the phone read alike. It pads on
    the right; without a padding token the end token pads, since a mask hides it.

    Raises:
        InputRefused: a file is missing or malformed.
    """
    from transformers import PreTrainedTokenizerFast

    settings = read_object(folder / "special_tokens_map.json")
    settings |= read_object(folder / "tokenizer_config.json")
    tokens = {}
    for role in _ROLES:
        token = settings.get(f"{role}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str):
            tokens[f"{role}_token"] = text
    template = settings.get("chat_template")
    if (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    with quiet():
        made = PreTrainedTokenizerFast(
            tokenizer_object=load_tokenizer(folder),
            padding_side="right",
            truncation_side="right",
            chat_template=template if isinstance(template, str) else None,
            **tokens,
        )
    if made.pad_token is None:
        made.pad_token = made.eos_token or made.convert_ids_to_tokens(0)
    return made
