"""What a native library says of itself: its processor and the page size that it bears."""

from __future__ import annotations

import struct

from edgekit.errors import InputRefused

_MACHINES = {183: "arm64-v8a", 62: "x86_64", 40: "armeabi-v7a", 3: "x86"}
_LOAD = 1


def machine(data: bytes) -> str:
    """The ABI that a library is for.

    Raises:
        InputRefused: it is no library for Android.
    """
    if len(data) < 64 or data[:4] != b"\x7fELF" or data[5] != 1:
        raise InputRefused("it is no ELF file")
    (number,) = struct.unpack_from("<H", data, 18)
    if number not in _MACHINES:
        raise InputRefused(f"it is for processor number {number}")
    return _MACHINES[number]


def alignment(data: bytes) -> int:
    """The least alignment of the parts that are mapped; 0 where there are none.

    Raises:
        InputRefused: the file is damaged.
    """
    machine(data)
    wide = data[4] == 2
    try:
        if wide:
            (begin,), (size, count) = (
                struct.unpack_from("<Q", data, 32),
                struct.unpack_from("<HH", data, 54),
            )
        else:
            (begin,), (size, count) = (
                struct.unpack_from("<I", data, 28),
                struct.unpack_from("<HH", data, 42),
            )
        found = []
        for index in range(count):
            at = begin + index * size
            (kind,) = struct.unpack_from("<I", data, at)
            place = (
                struct.unpack_from("<Q", data, at + 48)
                if wide
                else struct.unpack_from("<I", data, at + 28)
            )
            if kind == _LOAD:
                found.append(int(place[0]))
    except struct.error as error:
        raise InputRefused(f"it is damaged: {error}") from None
    return min(found, default=0)
