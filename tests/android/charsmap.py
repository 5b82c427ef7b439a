"""Builds sentencepiece's ``precompiled_charsmap``: a double array over bytes, then the texts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping

_LEAF = 1 << 8
_BLOCK = 256  # every node owns one block, so that no two nodes can collide


def encoded(replacements: Mapping[str, str]) -> str:
    """The charsmap that replaces each key by its value, in base64 as tokenizer.json holds it."""
    texts = b""
    root: dict[int, dict[int, object] | int] = {}
    for key, value in replacements.items():
        node = root
        for byte in key.encode():
            node = node.setdefault(byte, {})  # type: ignore[assignment]
        node[0] = len(texts)
        texts += value.encode() + b"\0"
    units = [0]
    _place(root, 0, units)
    array = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(array)) + array + texts).decode()


def _place(node: dict[int, dict[int, object] | int], at: int, units: list[int]) -> None:
    base = -(-len(units) // _BLOCK) * _BLOCK
    units += [0] * (base + _BLOCK - len(units))
    units[at] |= (at ^ base) << 10
    for child in node.values():
        if isinstance(child, int):
            units[at] |= _LEAF
            units[base] = child
    for label, child in sorted(node.items()):
        if isinstance(child, dict):
            units[base + label] |= label
            _place(child, base + label, units)  # type: ignore[arg-type]
