"""Native libraries of a few bytes, for checks that read no more of them."""

from __future__ import annotations

import struct


def elf(machine: int, alignment: int, text: bytes = b"") -> bytes:
    """The head of a 64-bit library with one mapped part."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 120, 120, alignment) + text
