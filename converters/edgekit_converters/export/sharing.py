"""Store a tensor once that a ``.pte`` holds twice: a table that is the head as well.

ExecuTorch writes the tensors of its own operators into one segment of the file, and those that a
delegate asks for by name into a segment each. A table that is looked up and multiplied has a copy
in both. Segments are places in the file, so two of them can be the same place: the copy is cut out,
and its name points at the tensor among the others. Any ExecuTorch reads such a file.

Layout (``schema/program.fbs``): behind the flatbuffer's root and file identifier comes a header of
``eh00``, its length, the program's size, where segments begin, and their bytes in all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

_HEADER, _MAGIC = struct.Struct("<4sIQQQ"), b"eh00"
_HEADER_AT, _BYTES_AT = 8, 32
_WIDE, _INDEX = struct.Struct("<Q"), struct.Struct("<I")
# Where a segment may begin; what the writer is told for all of them, too.
_ALIGNMENT = 128
# What XNNPACK asks for.
_LEAST_ALIGNMENT = 16
# Less is not worth a look.
_SMALLEST = 1 << 12
# Slots of fields in their tables.
_SEGMENTS, _CONSTANTS, _NAMED = 12, 14, 18
_FIRST, _SECOND = 4, 6


@dataclass
class _Segment:
    """Where a segment lies behind the first one's begin, and where the program says so (or 0)."""

    offset: int
    size: int
    said_at: int


def share(data: bytes) -> bytes:
    """The same program with named tensors that equal one of its own stored once.

    Args:
        data: a ``.pte``; one without segments, or with nothing twice, comes back as it is.
    """
    if len(data) < _HEADER_AT + _HEADER.size:
        return data
    magic, _, _, base, _ = _HEADER.unpack_from(data, _HEADER_AT)
    if magic != _MAGIC or not base:
        return data
    root = _table(data, _INDEX.unpack_from(data)[0])
    segments, constants = _segments(root), _child(root, _CONSTANTS)
    if not segments or constants is None:
        return data
    own = segments[_number(constants, _FIRST, _INDEX)]
    starts = [own.offset + start for start in _numbers(constants, _SECOND)]
    named = {_number(one, _SECOND, _INDEX) for one in _children(root, _NAMED)}
    found: dict[int, int] = {}
    for index in sorted(named):
        part = segments[index]
        if part is own or part.size < _SMALLEST:
            continue
        place = _place(data, base, part, starts, own.offset + own.size)
        if place is not None:
            found[index] = place
    return _without(data, base, segments, found) if found else data


def _place(data: bytes, base: int, part: _Segment, starts: list[int], end: int) -> int | None:
    """Where a segment's bytes stand among the program's own tensors."""
    wanted = memoryview(data)[base + part.offset : base + part.offset + part.size]
    for start in starts:
        fits = start + part.size <= end and start % _LEAST_ALIGNMENT == 0
        if fits and memoryview(data)[base + start : base + start + part.size] == wanted:
            return start
    return None


def _without(data: bytes, base: int, segments: list[_Segment], found: dict[int, int]) -> bytes:
    """The file without the segments in ``found``, which begin where it says."""
    program = bytearray(data[:base])
    rest = bytearray()
    for index, part in enumerate(segments):
        offset = found.get(index)
        if offset is None:
            rest += bytes(-len(rest) % _ALIGNMENT)
            offset = len(rest)
            rest += data[base + part.offset : base + part.offset + part.size]
        if part.said_at:
            _WIDE.pack_into(program, part.said_at, offset)
        elif offset:
            return data  # nothing to write the new place into
    _WIDE.pack_into(program, _BYTES_AT, len(rest))
    return bytes(program + rest)


def _segments(root: Any) -> list[_Segment]:
    found = []
    for one in _children(root, _SEGMENTS):
        begin, size = (_number(one, slot, _WIDE) for slot in (_FIRST, _SECOND))
        place = one.Offset(_FIRST)
        found.append(_Segment(begin, size, one.Pos + place if place else 0))
    return found


def _table(data: bytes, at: int) -> Any:
    from flatbuffers.table import Table  # type: ignore[import-untyped]

    return Table(data, at)


def _child(table: Any, slot: int) -> Any | None:
    place = table.Offset(slot)
    return _table(table.Bytes, table.Indirect(table.Pos + place)) if place else None


def _children(table: Any, slot: int) -> list[Any]:
    place = table.Offset(slot)
    if not place:
        return []
    first = table.Vector(place)
    return [
        _table(table.Bytes, table.Indirect(first + 4 * index))
        for index in range(table.VectorLen(place))
    ]


def _number(table: Any, slot: int, form: struct.Struct) -> int:
    """A field that is a number; 0 where it is left out."""
    place = table.Offset(slot)
    return int(form.unpack_from(table.Bytes, table.Pos + place)[0]) if place else 0


def _numbers(table: Any, slot: int) -> list[int]:
    place = table.Offset(slot)
    if not place:
        return []
    first, count = table.Vector(place), table.VectorLen(place)
    return list(struct.unpack_from(f"<{count}Q", table.Bytes, first))
