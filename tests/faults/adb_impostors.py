"""Programs on an adb server's port that are no adb server of this version."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """A port where each request gets this answer; with None, silence. Yields the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                held.append(sock)
                if answer is not None:
                    with contextlib.suppress(OSError):
                        sock.recv(4096)
                        sock.sendall(answer)
                        sock.close()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for sock in held:
                sock.close()


def of_version(version: int) -> bytes:
    """What an adb server of another version says to ``host:version``."""
    return b"OKAY0004" + f"{version:04x}".encode()
