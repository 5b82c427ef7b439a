"""A program on a real pseudo-terminal, typed at as a person does."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


class Terminal:
    """A running program and what it has shown so far."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        """Wrap a started process."""
        self.shown = ""
        self._process, self._descriptor = process, descriptor
        self._seen = 0

    def until(self, text: str, timeout: float = 120) -> str:
        """What is shown up to and with ``text``, from where the last call ended."""
        end = time.monotonic() + timeout
        while (at := self.shown.find(text, self._seen)) < 0:
            assert time.monotonic() < end, f"no {text!r} in {self.shown!r}"
            assert self._read(), f"ended without {text!r}: {self.shown!r}"
        found = self.shown[self._seen : at + len(text)]
        self._seen = at + len(text)
        return found

    def more(self) -> None:
        """Wait a moment for whatever is shown next."""
        assert self._read(), f"ended: {self.shown!r}"

    def type(self, text: str) -> None:
        """Press keys; a newline is Enter, ``\\x03`` is Ctrl-C, ``\\x04`` is Ctrl-D."""
        os.write(self._descriptor, text.encode())

    def rest(self, timeout: float = 60) -> None:
        """Wait until the program waits for a key.

        ``input`` shows its prompt first and then waits in select; a signal between the two is only
        noticed at the next key (CPython, Modules/readline.c). No person is that quick; a test is.
        """
        end = time.monotonic() + timeout
        main = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/stat")
        asleep = 0
        while asleep < 5:
            assert time.monotonic() < end, f"still busy: {self.shown!r}"
            state = main.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
            asleep = asleep + 1 if state == "S" else 0
            time.sleep(0.02)

    def status(self, timeout: float = 60) -> int:
        """Read to the end; the exit status."""
        end = time.monotonic() + timeout
        while self._read():
            assert time.monotonic() < end, f"does not end: {self.shown!r}"
        return self._process.wait(timeout)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], 1.0)
        if not ready:
            return self._process.poll() is None
        try:
            raw = os.read(self._descriptor, 4096)
        except OSError:  # the other end is closed
            return False
        self.shown += raw.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(raw)


@contextmanager
def terminal(*words: str, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Run ``python -m edgekit WORDS`` with its three streams on a terminal."""
    ours, theirs = pty.openpty()
    command: Sequence[str] = [sys.executable, "-m", "edgekit", *words]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "dumb"},
        # A session of its own: Ctrl-C reaches it and not the tests.
        start_new_session=True,
        preexec_fn=_own_terminal,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def _own_terminal() -> None:
    """Make standard input the terminal that keys interrupt."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
