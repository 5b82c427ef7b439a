"""``tokenizer.json``: loaded without truncation and padding, and described for the device."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from edgekit.errors import InputRefused
from edgekit_converters.device_tokenizer import missing
from edgekit_converters.folder import TOKENIZER_HINT, read_object

_SIZE_LIMIT = 128 * 1024 * 1024


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
    """Kind of tokenizer, whether the Android core can run it, and what that lacks if it cannot."""
    parts = json.loads(tokenizer.to_str())
    model = parts.get("model")
    kind = str(model.get("type")) if isinstance(model, dict) else "none"
    lacking = missing(parts)
    return kind, not lacking, f"the Android core does not have {lacking}" if lacking else ""


def mask_token_id(folder: Path, tokenizer: Tokenizer) -> int | None:
    """Id of the mask token that the folder's files name; None when they name none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = read_object(folder / name).get("mask_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and (found := tokenizer.token_to_id(text)) is not None:
            return int(found)
    return None
