"""``tokenizer.json``: loaded without truncation and padding, and described for the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgekit.errors import InputRefused
from edgekit_converters.folder import TOKENIZER_HINT, read_object

_SIZE_LIMIT = 128 * 1024 * 1024
_POST_PROCESSORS = ("TemplateProcessing", "BertProcessing")


def load_tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokenizer; a text always becomes all of its tokens.

    Raises:
        InputRefused: there is no tokenizer.json, or it is malformed or far too large.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputRefused(f"{folder.name} has no tokenizer.json", hint=TOKENIZER_HINT)
    if (size := path.stat().st_size) > _SIZE_LIMIT:
        raise InputRefused(
            f"tokenizer.json is too large: {size} bytes; at most {_SIZE_LIMIT} are read",
            hint="Fetch a clean copy of the model.",
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no class of its own for a malformed file
        raise InputRefused(
            f"tokenizer.json is malformed: {str(error)[:200]}", hint=TOKENIZER_HINT
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def describe(tokenizer: Tokenizer) -> tuple[str, bool, str]:
    """Kind of tokenizer, whether the Android encoder can run it, and why not when it cannot.

    The Android encoder is made for BERT's WordPiece pipeline.
    """
    parts = json.loads(tokenizer.to_str())
    kind = _type(parts, "model")
    reason = ""
    if kind != "WordPiece":
        reason = f"the on-device encoder runs WordPiece, this is {kind}"
    elif parts["model"].get("continuing_subword_prefix") != "##":
        reason = "the on-device encoder joins WordPiece parts with '##' only"
    elif _type(parts, "normalizer") != "BertNormalizer":
        reason = f"the on-device encoder has BertNormalizer, not {_type(parts, 'normalizer')}"
    elif _type(parts, "pre_tokenizer") != "BertPreTokenizer":
        found = _type(parts, "pre_tokenizer")
        reason = f"the on-device encoder has BertPreTokenizer, not {found}"
    elif _type(parts, "post_processor") not in _POST_PROCESSORS:
        found = _type(parts, "post_processor")
        reason = f"the on-device encoder puts special tokens by template, not by {found}"
    return kind, not reason, reason


def mask_token_id(folder: Path, tokenizer: Tokenizer) -> int | None:
    """Id of the mask token that the folder's files name; None when they name none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = read_object(folder / name).get("mask_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and (found := tokenizer.token_to_id(text)) is not None:
            return int(found)
    return None


def _type(parts: dict[str, Any], name: str) -> str:
    part = parts.get(name)
    return str(part.get("type")) if isinstance(part, dict) else "none"
