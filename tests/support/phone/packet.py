"""ADB's packet: six little-endian words, then a payload. Both directions look the same."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
KNOWN = {CNXN, AUTH, OPEN, OKAY, WRTE, CLSE}
VERSION = 0x01000001
MOST_PAYLOAD = 1 << 20
_HEAD = struct.Struct("<6I")


class Packet(NamedTuple):
    """One packet; ``first`` is the sender's stream id in OPEN, OKAY, WRTE and CLSE."""

    command: int
    first: int
    second: int
    payload: memoryview


class Malformed(Exception):
    """The header is not one of ADB's; a phone closes the connection."""


def read(sock: socket.socket) -> Packet | None:
    """The next packet, None at the end of the connection."""
    head = bytearray(_HEAD.size)
    if not _fill(sock, memoryview(head)):
        return None
    command, first, second, length, _, magic = _HEAD.unpack(head)
    if command ^ 0xFFFFFFFF != magic or command not in KNOWN or length > MOST_PAYLOAD:
        raise Malformed(head.hex())
    payload = memoryview(bytearray(length))
    return Packet(command, first, second, payload) if _fill(sock, payload) else None


def encode(command: int, first: int, second: int, payload: bytes = b"") -> bytes:
    """A packet's bytes; the checksum is there for adb versions that look at it."""
    total = sum(payload) & 0xFFFFFFFF if command in {CNXN, AUTH} else 0
    return _HEAD.pack(command, first, second, len(payload), total, command ^ 0xFFFFFFFF) + payload


def _fill(sock: socket.socket, into: memoryview) -> bool:
    while into:
        count = sock.recv_into(into)
        if count == 0:
            return False
        into = into[count:]
    return True
