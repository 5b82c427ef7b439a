"""Whether the tokenizer for Android has all that a ``tokenizer.json`` declares.

The lists are those of the Kotlin core; its tests hold every component on them to the tokenizers
library. What is not on them is refused there by name, and said here when the bundle is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_MODELS = {"WordPiece", "BPE", "Unigram"}
_COMPONENTS = {
    "normalizer": {
        *("BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip"),
        *("Replace", "Prepend", "ByteLevel", "Precompiled"),
    },
    "pre_tokenizer": {
        *("BertPreTokenizer", "ByteLevel", "Metaspace", "Whitespace", "WhitespaceSplit"),
        *("Punctuation", "Digits", "Split"),
    },
    "post_processor": {
        *("TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"),
    },
    "decoder": {
        *("WordPiece", "ByteLevel", "Metaspace", "BPEDecoder", "ByteFallback", "Fuse", "Strip"),
        "Replace",
    },
}
_INSIDE = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
# Escaped characters and classes first: what stands in them means something else.
_PATTERN_PART = re.compile(r"\\(?P<escape>.)|\[(?:\\.|[^\]\\])*\]|(?P<odd>\(\?(?!:|i:|=|!)|[\^$])")
_ESCAPES = set("nrtfsSwWdDpPu")


def missing(parts: dict[str, Any]) -> str:
    """What the core does not have, in words; empty when it has everything.

    Args:
        parts: the content of ``tokenizer.json``.
    """
    model = parts.get("model") or {}
    if model.get("type") not in _MODELS:
        return f"the model {model.get('type')}"
    if model.get("dropout"):
        return "dropout: it cuts at random"
    for name, known in _COMPONENTS.items():
        for component in _each(parts.get(name), _INSIDE[name]):
            if component.get("type") not in known:
                return f"the {name.replace('_', '-')} {component.get('type')}"
            pattern = component.get("pattern")
            regex = pattern.get("Regex") if isinstance(pattern, dict) else None
            if isinstance(regex, str) and (odd := _odd(regex)):
                return f"a regular expression with {odd}"
    return ""


def _each(component: Any, inside: str) -> Iterator[dict[str, Any]]:
    """A component, or those of a sequence, however nested."""
    if not isinstance(component, dict):
        return
    if component.get("type") != "Sequence":
        yield component
        return
    for one in component.get(inside) or ():
        yield from _each(one, inside)


def _odd(pattern: str) -> str:
    """What of a regular expression the core does not read; empty for the ones in use."""
    for part in _PATTERN_PART.finditer(pattern):
        escape, odd = part["escape"], part["odd"]
        if escape is not None and escape.isalnum() and escape not in _ESCAPES:
            return f"the escape \\{escape}"
        if odd is not None:
            return "an anchor" if odd in "^$" else "a group of another kind"
    return ""
