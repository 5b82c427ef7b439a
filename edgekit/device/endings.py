"""How a run on a phone ended badly: what was done by then, and what the phone's log says of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from edgekit.device.protocol import Event, clean
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    InternalError,
    RunnerKilled,
    TemporaryFailure,
)

_SECONDS = 5.0
_DEATH = re.compile(
    r"lowmemorykiller|lmkd|out of memory|oom|killing|fatal signal|fatal exception|tombstone", re.I
)


class Progress:
    """Passes a runner's events on and keeps what is needed when it ends badly.

    Attributes:
        pid: of the runner, once it said hello.
        version: of its runtime, as it said.
        samples: how many it has answered.
        status: of the phone's shell, on phones whose adb has no other way to tell it.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self.pid: int | None = None
        self.version = ""
        self.samples = 0
        self.status: int | None = None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if event["event"] == "exit":
            self.status = _whole(event.get("status"))
            return
        if event["event"] == "hello":
            self.pid = _whole(event.get("pid"))
            self.version = clean(str(event.get("version", "")), most=40)
        elif event["event"] == "sample":
            self.samples += 1
        self._on_event(event)


def in_words(
    error: EdgekitError, progress: Progress, where: str, shell: Shell, program: str
) -> EdgekitError:
    """The error with how far the run came, and what the phone logged about its program."""
    done = f" (after {progress.samples} samples)" if progress.samples else ""
    if isinstance(error, RunnerKilled):
        logged = last_log(shell, program, progress.pid)
        told = f"; the phone's log: {logged[-1]}" if logged else ""
        return RunnerKilled(
            f"{error.message}{done}{told}",
            hint=error.hint,
            **{**error.details, "samples": progress.samples, "log": logged},
        )
    if isinstance(error, InternalError) and error.details.get("malformed"):
        return DeviceReplyRefused(f"{where}: {error.message}{done}")
    if type(error) is TemporaryFailure:
        return DeviceTimeout(
            f"{error.message}{done}", hint="Unlock the phone, let it cool, and try again."
        )
    return error


def last_log(shell: Shell, program: str, pid: int | None) -> list[str]:
    """Lines of the phone's log about the end of a program; empty where it tells nothing."""
    words = ["logcat", "-d", "-v", "threadtime", "-t", "500"]
    with contextlib.suppress(EdgekitError):
        reply = shell.run(words, check=False, timeout=_SECONDS)
        names = [re.escape(program), *([] if pid is None else [rf"\b{pid}\b"])]
        about = re.compile("|".join(names))
        lines = [line for line in reply.text.splitlines() if _DEATH.search(line)]
        return [clean(line, most=200) for line in lines if about.search(line)][-5:]
    return []


def _whole(value: object) -> int | None:
    """A small positive number; an event comes from the phone and may hold anything."""
    return value if type(value) is int and 0 < value < 2**31 else None
