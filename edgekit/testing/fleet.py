"""Several phones at once: each is tested by a process of its own, and none waits for another.

A process a phone, because then every one of them cleans its phone as it would alone: what ends this
process ends them with SIGTERM, and a crash in one is one phone's result.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from edgekit.device.inventory import Listed
from edgekit.device.protocol import clean
from edgekit.errors import InternalError
from edgekit.testing.record import Malformed, visit_from
from edgekit.testing.report import Visit

MOST_AT_ONCE = 8
_MOST_BYTES = 16 * 2**20
_ENDING_SECONDS = 30.0


def visit_all(
    phones: Sequence[Listed], words: Sequence[str], tell: Callable[[str], None]
) -> list[Visit]:
    """Test every phone that can be used; the others are visits that failed.

    Args:
        phones: as adb lists them.
        words: of ``edgekit test`` for one phone, without ``--serial`` and ``--json``.
        tell: told lines about each phone, from several threads one at a time.

    Returns:
        One visit a phone, in order.
    """
    lock = threading.Lock()

    def say(phone: Listed, line: str) -> None:
        with lock:
            tell(f"{phone.name}: {line}")

    running = _Running()

    def one(phone: Listed) -> Visit:
        if not phone.usable:
            error = phone.error()
            say(phone, error.message)
            return Visit(phone.name, "phone", phone.serial, error=error)
        return _ask(phone, words, running, lambda line: say(phone, line))

    pool = ThreadPoolExecutor(MOST_AT_ONCE)
    try:
        return list(pool.map(one, phones))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        running.end()
        raise
    finally:
        pool.shutdown()


def _ask(
    phone: Listed,
    words: Sequence[str],
    running: _Running,
    say: Callable[[str], None],
) -> Visit:
    # -P: a module that lies in the current folder is never imported.
    command = [sys.executable, "-P", "-m", "edgekit", "test", "--json", "--serial", phone.serial]
    process = running.start([*command, *words])
    assert process.stdout is not None
    assert process.stderr is not None
    talk = threading.Thread(target=_pass_on, args=(process.stderr, say), daemon=True)
    talk.start()
    data = process.stdout.read(_MOST_BYTES)
    process.stdout.close()
    status = process.wait()
    talk.join()
    process.stderr.close()
    try:
        document: Any = json.loads(data)
        return visit_from(document, phone)
    except (ValueError, RecursionError, Malformed):
        error = InternalError(f"the test of {phone.name} ended with status {status} and no result")
        return Visit(phone.name, "phone", phone.serial, error=error)


def _pass_on(stream: IO[bytes], say: Callable[[str], None]) -> None:
    while line := stream.readline(4096):
        if text := clean(line):
            say(text)


class _Running:
    """The processes of a test, so that none outlives it."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._ended = False

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C comes to us, and we pass it on as SIGTERM.
                start_new_session=True,
            )
            self._processes.append(process)
            if self._ended:
                process.terminate()
            return process

    def end(self) -> None:
        """Let every process clean its phone; one that does not end in time is killed."""
        with self._lock:
            self._ended = True
            running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
