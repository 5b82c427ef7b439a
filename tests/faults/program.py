"""The real program on the tests' own adb server, and what may be asked of how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import clean_environment
from tests.support.phone import AdbServer

# Of naming a fault, once adb knows it.
PROMISE = 2.0


@dataclass(frozen=True)
class Ended:
    """One run of the program.

    Attributes:
        verb: the first of its words.
        status: its exit status.
        out, err: what it printed.
        seconds: from its start, or from the fault, to its end.
    """

    verb: str
    status: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as the one JSON document that it must be."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["error"]
        return found

    def failed(self, code: str, status: int, says: str = "", hint: str = "") -> dict[str, Any]:
        """The typed failure, after checking its code, exit status, words and hint."""
        told = f"\nstatus {self.status}\n{self.err}\n{self.out[:2000]}"
        assert "Traceback" not in self.err, told
        assert self.status == status, told
        error = self.error
        assert error["code"] == code, told
        assert error["exit_status"] == status, told
        assert says in error["message"], told
        assert hint in error["hint"], told
        # The doctor's findings are its result; everybody else complains on stderr.
        spoken = f"error: {error['message'][:40]}"
        assert self.verb == "doctor" or spoken in self.err, told
        assert error["hint"], f"no hint{told}"
        return error


class Program:
    """Starts ``python -m edgekit`` in a folder of its own, led to one adb server."""

    def __init__(self, server: AdbServer, folder: Path, note: Callable[[Ended], None]) -> None:
        self.server = server
        self.folder = folder
        self.note = note

    def start(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Running:
        """The program, running."""
        environment = {**clean_environment(), **self.server.whole_environment(), **(env or {})}
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, words)],
            cwd=self.folder,
            env={**environment, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        return Running(process, " ".join(map(str, words[:1])), self.note)

    def __call__(
        self, *words: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Ended:
        """The program, run to its end."""
        return self.start(*words, env=env).end(timeout)


class Running:
    """A program that has been started."""

    def __init__(
        self, process: subprocess.Popen[str], verb: str, note: Callable[[Ended], None]
    ) -> None:
        self.process = process
        self._verb = verb
        self.note = note
        self._since = time.monotonic()

    def from_now(self) -> None:
        """Count the seconds from here: the fault happens now."""
        self._since = time.monotonic()

    def send(self, number: signal.Signals) -> None:
        self.from_now()
        self.process.send_signal(number)

    def end(self, timeout: float = 60) -> Ended:
        """Wait for its end; a program that does not end is killed and fails the test."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"still running after {timeout} s\n{err}\n{out[-2000:]}") from None
        ended = Ended(self._verb, self.process.returncode, out, err, time.monotonic() - self._since)
        self.note(ended)
        return ended


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition of the phone."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
