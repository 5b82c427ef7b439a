"""One connection from an adb server: the handshake, and streams with ADB's flow control."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from tests.support.phone import packet
from tests.support.phone.faults import Faults

_TOKEN, _SIGNATURE, _PUBLIC_KEY = 1, 2, 3
_AHEAD = 16


class Owner(Protocol):
    """What a link needs of its phone."""

    faults: Faults

    def banner(self) -> bytes: ...

    def service(self, name: str) -> Callable[[Stream], None] | None: ...


class Broken(Exception):
    """The stream or its connection is closed."""


class Stream:
    """One stream of a connection: ``read`` and ``write`` block, ``closed`` tells its end."""

    def __init__(self, link: Link, local: int, remote: int) -> None:
        self.link = link
        self.local = local
        self.remote = remote
        self.closed = threading.Event()
        self._incoming: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._may_write = threading.Semaphore(1)
        self._owed = 0
        self._lock = threading.Lock()
        self._endings: list[Callable[[], None]] = []

    def read(self) -> memoryview:
        """The next payload; empty when the other side has closed."""
        data = self._incoming.get()
        if data is None:
            self._incoming.put(None)
            return memoryview(b"")
        with self._lock:
            owed, self._owed = self._owed, 0
        if owed:
            self.link.send(packet.OKAY, self.local, self.remote)
        return data

    def write(self, data: bytes | memoryview) -> None:
        """Send all of ``data``; each packet waits until the last one was taken."""
        rest = memoryview(data)
        while rest:
            self._may_write.acquire()
            if self.closed.is_set():
                self._may_write.release()
                raise Broken
            part, rest = rest[: self.link.most], rest[self.link.most :]
            self.link.send(packet.WRTE, self.local, self.remote, bytes(part))

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this when the stream is closed from the other side; now if it is."""
        with self._lock:
            if not self.closed.is_set():
                self._endings.append(call)
                return
        call()

    def close(self) -> None:
        """End the stream from this side; what was written has been sent."""
        if not self.closed.is_set():
            self._may_write.acquire(timeout=5)
            self.link.send(packet.CLSE, self.local, self.remote)
        self.end()

    # The reader thread of the link calls these three.
    def take(self, data: memoryview) -> None:
        self._incoming.put(data)
        # Acknowledged at once, so that the wire never waits for the disk; a slow reader owes it.
        with self._lock:
            late = self._incoming.qsize() > _AHEAD
            self._owed += late
        if not late:
            self.link.send(packet.OKAY, self.local, self.remote)

    def acknowledged(self) -> None:
        self._may_write.release()

    def end(self) -> None:
        with self._lock:
            endings, self._endings = self._endings, []
            self.closed.set()
        self._incoming.put(None)
        self._may_write.release()
        for call in endings:
            call()


class Link:
    """Serves one connected adb server until either side hangs up."""

    def __init__(self, sock: socket.socket, owner: Owner) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.owner = owner
        self.most = packet.MOST_PAYLOAD
        self.streams: dict[int, Stream] = {}
        self.allowed = threading.Event()
        self._ids = itertools.count(1)
        self._sending = threading.Lock()

    def send(self, command: int, first: int, second: int, payload: bytes = b"") -> None:
        self._pace(len(payload))
        with self._sending, contextlib.suppress(OSError):
            self.sock.sendall(packet.encode(command, first, second, payload))

    def drop(self) -> None:
        """The cable comes out."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer packets until the connection ends."""
        try:
            while (got := packet.read(self.sock)) is not None:
                if self.owner.faults.offline:
                    continue
                self._pace(len(got.payload))
                self._answer(got)
        except (OSError, packet.Malformed):
            pass
        finally:
            self.drop()
            self.sock.close()
            for stream in list(self.streams.values()):
                stream.end()

    def _pace(self, count: int) -> None:
        if rate := self.owner.faults.bytes_per_second:
            time.sleep(count / rate)

    def _answer(self, got: packet.Packet) -> None:
        if got.command == packet.CNXN:
            self.most = min(packet.MOST_PAYLOAD, got.second)
            if self.owner.faults.unauthorized:
                self._ask_for_key()
            else:
                self.welcome()
        elif got.command == packet.AUTH:
            if got.first == _SIGNATURE:
                self._ask_for_key()
            elif got.first == _PUBLIC_KEY:
                threading.Thread(target=self._await_tap, daemon=True).start()
        elif got.command == packet.OPEN:
            self._open(got.first, bytes(got.payload).rstrip(b"\0"))
        elif (stream := self.streams.get(got.second)) is None:
            return
        elif got.command == packet.WRTE:
            stream.take(got.payload)
        elif got.command == packet.OKAY:
            stream.acknowledged()
        elif got.command == packet.CLSE:
            self.streams.pop(got.second, None)
            stream.end()

    def welcome(self) -> None:
        self.send(packet.CNXN, packet.VERSION, packet.MOST_PAYLOAD, self.owner.banner())

    def _ask_for_key(self) -> None:
        self.send(packet.AUTH, _TOKEN, 0, os.urandom(20))

    def _await_tap(self) -> None:
        self.allowed.wait()
        self.welcome()

    def _open(self, remote: int, name: bytes) -> None:
        serve = self.owner.service(name.decode("utf-8", "surrogateescape"))
        if serve is None:
            self.send(packet.CLSE, 0, remote)
            return
        stream = Stream(self, next(self._ids), remote)
        self.streams[stream.local] = stream
        self.send(packet.OKAY, stream.local, remote)
        threading.Thread(target=self._run, args=(serve, stream), daemon=True).start()

    def _run(self, serve: Callable[[Stream], None], stream: Stream) -> None:
        try:
            serve(stream)
        except Broken:
            pass
        finally:
            stream.close()
            self.streams.pop(stream.local, None)
