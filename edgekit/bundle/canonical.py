"""Canonical JSON: equal data gives equal bytes, on every machine and in every run."""

from __future__ import annotations

import json
from typing import Any


def dump_bytes(data: Any) -> bytes:
    """``data`` as canonical JSON: sorted keys, UTF-8, one space of indent, one newline at the end.

    Args:
        data: dicts with string keys, lists, strings, ints, finite floats, booleans and None.

    Raises:
        ValueError: a number is not finite, or a string is not valid Unicode.
        TypeError: a value is of another type.
    """
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode("utf-8") + b"\n"
