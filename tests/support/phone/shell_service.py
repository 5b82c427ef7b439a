"""The shell services: ``shell,v2`` with frames, plain ``shell`` and ``exec`` without."""

from __future__ import annotations

import contextlib
import queue
import struct
import threading
from typing import TYPE_CHECKING

from tests.support.phone.interpreter import Interpreter, Wires
from tests.support.phone.link import Broken, Stream

if TYPE_CHECKING:
    from tests.support.phone.device import ScriptedPhone

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)


def framed(phone: ScriptedPhone, command: str, stream: Stream) -> None:
    """shell_v2: stdout and stderr apart, and the exit status at the end."""
    lock = threading.Lock()

    def frame(kind: int, data: bytes) -> None:
        with lock, contextlib.suppress(Broken):
            stream.write(struct.pack("<BI", kind, len(data)) + data)

    given: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_take_frames, args=(stream, given), daemon=True).start()
    wires = Wires(
        read=_repeating_end(given),
        out=lambda data: frame(_STDOUT, data),
        err=lambda data: frame(_STDERR, data),
        ended=stream.closed,
        at_end=stream.at_end,
    )
    status = Interpreter(phone).run(command, wires)
    frame(_EXIT, bytes([status & 0xFF]))


def raw(phone: ScriptedPhone, command: str, stream: Stream, terminal: bool) -> None:
    """The service before shell_v2: all output in one stream, the status lost."""
    lock = threading.Lock()

    def write(data: bytes) -> None:
        if terminal:
            data = data.replace(b"\n", b"\r\n")
        with lock, contextlib.suppress(Broken):
            stream.write(data)

    wires = Wires(
        read=lambda: bytes(stream.read()),
        out=write,
        err=write,
        ended=stream.closed,
        at_end=stream.at_end,
    )
    Interpreter(phone).run(command, wires)


def _take_frames(stream: Stream, given: queue.SimpleQueue[bytes]) -> None:
    """Standard input out of the frames; an empty piece at its end."""
    pending = bytearray()
    while data := stream.read():
        pending += data
        while len(pending) >= 5:
            kind, length = struct.unpack_from("<BI", pending)
            if len(pending) < 5 + length:
                break
            body = bytes(pending[5 : 5 + length])
            del pending[: 5 + length]
            if kind == _STDIN and body:
                given.put(body)
            elif kind == _CLOSE_STDIN:
                given.put(b"")
    given.put(b"")


def _repeating_end(given: queue.SimpleQueue[bytes]):
    ended = False

    def read() -> bytes:
        nonlocal ended
        if ended:
            return b""
        data = given.get()
        ended = not data
        return data

    return read
