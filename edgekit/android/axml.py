"""Android's compiled XML: the elements of a manifest with their attributes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgekit.errors import InputRefused

_POOL, _START = 0x0001, 0x0102
_UTF8 = 1 << 8
_STRING, _NONE = 0x03, 0xFFFFFFFF
_MOST_STRINGS = 100_000


@dataclass(frozen=True)
class Element:
    """One element: its name, and its attributes without their prefix."""

    name: str
    attributes: dict[str, str | int]


def elements(data: bytes) -> list[Element]:
    """All elements, in the order of the document.

    Raises:
        InputRefused: the data is not compiled XML.
    """
    try:
        return _elements(data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise InputRefused(f"the APK's manifest cannot be read: {error}") from None


def _elements(data: bytes) -> list[Element]:
    kind, _, size = struct.unpack_from("<HHI", data)
    if kind != 0x0003 or size > len(data):
        raise InputRefused("the APK's manifest is no compiled XML")
    at, strings, found = 8, [], []
    while at < size:
        kind, head, length = struct.unpack_from("<HHI", data, at)
        if length < 8 or at + length > size:
            raise InputRefused("the APK's manifest has a damaged part")
        if kind == _POOL:
            strings = _strings(data[at : at + length])
        elif kind == _START:
            found.append(_element(data[at + head : at + length], strings))
        at += length
    return found


def _strings(pool: bytes) -> list[str]:
    _, head, _, count, _, flags, begin, _ = struct.unpack_from("<HHIIIIII", pool)
    if count > _MOST_STRINGS:
        raise InputRefused(f"the APK's manifest has {count} strings")
    offsets = struct.unpack_from(f"<{count}I", pool, head)
    return [_string(pool, begin + offset, bool(flags & _UTF8)) for offset in offsets]


def _string(pool: bytes, at: int, utf8: bool) -> str:
    if utf8:
        for _ in range(2):  # the length in characters, then in bytes
            length, at = pool[at], at + 1
            if length & 0x80:
                length, at = (length & 0x7F) << 8 | pool[at], at + 1
        return pool[at : at + length].decode("utf-8", "replace")
    (length,) = struct.unpack_from("<H", pool, at)
    at += 2
    if length & 0x8000:
        length = (length & 0x7FFF) << 16 | struct.unpack_from("<H", pool, at)[0]
        at += 2
    return pool[at : at + 2 * length].decode("utf-16-le", "replace")


def _element(body: bytes, strings: list[str]) -> Element:
    _, name, start, size, count = struct.unpack_from("<IIHHH", body)
    attributes: dict[str, str | int] = {}
    for index in range(count):
        at = start + index * size
        _, key, raw, _, _, kind, value = struct.unpack_from("<IIIHBBI", body, at)
        if kind == _STRING:
            attributes[strings[key]] = strings[value]
        else:
            attributes[strings[key]] = strings[raw] if raw != _NONE else value
    return Element(strings[name], attributes)
