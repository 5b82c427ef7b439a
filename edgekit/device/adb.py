"""The adb program: found, started, bounded in time and output. No other module knows it.

Its server protocol is not spoken here: the program itself is the client, so authentication, USB,
Wi-Fi and remote labs (ADB_SERVER_SOCKET, ANDROID_ADB_SERVER_PORT) work as they do for the user.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgekit.device import faults
from edgekit.device.protocol import clean
from edgekit.errors import (
    AdbMissing,
    AdbServerFailed,
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    InternalError,
    SpecError,
)

MOST_BYTES = 16 * 2**20
# What works without a phone; a silence there is the server's, not the phone's.
_ABOUT_THE_SERVER = {"devices", "start-server", "reconnect", "connect", "disconnect", "mdns"}


@dataclass(frozen=True)
class Reply:
    """How a command ended and what it said."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Stdout as text; bytes that are no UTF-8 become replacement characters."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """What a person would read of a failure: stderr, else stdout, cleaned and bounded."""
        return clean(self.stderr.strip() or self.stdout.strip()[-1000:], most=500)


@dataclass(frozen=True)
class Adb:
    """One adb program and the environment that it is started with.

    Attributes:
        program: its path.
        environment: the whole environment; None for this process's own.
    """

    program: str
    environment: Mapping[str, str] | None = None

    def argv(self, words: Sequence[str], serial: str | None = None) -> list[str]:
        """The host's words that start adb, aimed at one phone when ``serial`` is given."""
        return [self.program, *(["-s", serial] if serial is not None else []), *words]

    def variables(self) -> dict[str, str]:
        """The environment to start adb with."""
        return dict(os.environ if self.environment is None else self.environment)

    def run(
        self,
        words: Sequence[str],
        *,
        serial: str | None = None,
        timeout: float = 30.0,
        check: bool = True,
        most: int = MOST_BYTES,
    ) -> Reply:
        """Run adb to its end.

        Args:
            words: adb's own words; they reach adb as they are.
            serial: the phone that it is about.
            timeout: seconds; adb is killed after them. The adb server is not.
            check: raise when adb ends with another status than 0.
            most: bytes of stdout, and of stderr, that are taken.

        Raises:
            AdbMissing: the program cannot be started.
            DeviceTimeout: it took longer than ``timeout``.
            AdbServerFailed: the same, for a command that needs no phone; or the server is broken.
            DeviceReplyRefused: it said more than ``most``.
            EdgekitError: with ``check``, the failure that adb named (see ``faults``).
        """
        reply = self._collect(words, serial, timeout, most)
        if check and reply.status != 0:
            raise self.failure(words, reply, serial)
        return reply

    def start(
        self,
        words: Sequence[str],
        *,
        serial: str | None = None,
        listen: bool = True,
        into: IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start adb and leave the waiting to the caller, who also ends it.

        Args:
            words: adb's own words.
            serial: the phone that it is about.
            listen: take its stdout; else it is dropped. Stderr is always taken.
            into: a file that takes its stdout instead.

        Raises:
            AdbMissing: the program cannot be started.
            SpecError: a word has a NUL byte.
        """
        command = self.argv(words, serial)
        if any("\0" in word for word in command):
            raise SpecError("a word with a NUL byte cannot be given to adb")
        try:
            return subprocess.Popen(
                command,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=into or (subprocess.PIPE if listen else subprocess.DEVNULL),
                stderr=subprocess.PIPE,
                # Ctrl-C is for us to handle; a half-finished restore would be worse.
                start_new_session=True,
            )
        except OSError as error:
            raise AdbMissing(
                f"adb cannot be started: {clean(self.program)}: {error.strerror}"
            ) from error

    def failure(
        self, words: Sequence[str], reply: Reply, serial: str | None = None
    ) -> EdgekitError:
        """The typed error for a reply whose status is not 0."""
        said = (reply.stderr + b"\n" + reply.stdout)[: 64 * 1024].decode("utf-8", "replace")
        known = faults.fault(said, serial)
        if known is not None:
            return known
        what = clean(words[0]) if words else "adb"
        return InternalError(
            f"adb {what} failed with status {reply.status}: {reply.complaint or 'it said nothing'}",
            hint="Run it by hand to see more, and report it if edgekit should know this failure.",
        )

    def _collect(
        self, words: Sequence[str], serial: str | None, timeout: float, most: int
    ) -> Reply:
        process = self.start(words, serial=serial)
        try:
            deadline = time.monotonic() + timeout
            stdout, stderr = _read(process, deadline, most)
            status = _wait(process, deadline)
        except subprocess.TimeoutExpired:
            raise _late(words, serial, timeout) from None
        finally:
            _end(process)
        return Reply(status, stdout, stderr)


def find(environment: Mapping[str, str] | None = None) -> Adb:
    """The adb program: EDGEKIT_ADB, PATH, the Android SDK, or the one inside ``adbutils``.

    Args:
        environment: where to look and what adb is started with; this process's unless given.

    Raises:
        AdbMissing: there is none, or EDGEKIT_ADB names something that cannot be started.
    """
    variables = os.environ if environment is None else environment
    path = variables.get("PATH", os.defpath)
    if named := variables.get("EDGEKIT_ADB"):
        program = shutil.which(named, path=path)
        if program is None:
            raise AdbMissing(f"EDGEKIT_ADB names no program: {clean(named)}")
        return Adb(program, environment)
    folders = [
        Path(root) / "platform-tools"
        for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT")
        if (root := variables.get(name))
    ]
    if bundled := _inside_adbutils():
        folders.append(bundled)
    for place in (path, *map(str, folders)):
        if program := shutil.which("adb", path=place):
            return Adb(program, environment)
    raise AdbMissing("adb was not found in EDGEKIT_ADB, PATH, ANDROID_HOME or ANDROID_SDK_ROOT")


def _inside_adbutils() -> Path | None:
    """The folder of the adb that the adbutils package carries; the package is not imported."""
    found = importlib.util.find_spec("adbutils")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "binaries"


def _read(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, bytes]:
    """Both pipes to their end; raises ``TimeoutExpired`` at the deadline."""
    assert process.stdout is not None
    assert process.stderr is not None
    parts: dict[int, list[bytes]] = {}
    sizes: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)
            parts[pipe.fileno()], sizes[pipe.fileno()] = [], 0
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in selector.select(left):
                data = os.read(key.fd, 256 * 1024)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                parts[key.fd].append(data)
                sizes[key.fd] += len(data)
                if sizes[key.fd] > most:
                    raise DeviceReplyRefused(
                        f"the answer is longer than {most} bytes: {clean(data[:80])}",
                        hint="The phone sends more than any phone should; it was cut off.",
                    )
        return tuple(  # type: ignore[return-value]
            b"".join(parts[pipe.fileno()]) for pipe in (process.stdout, process.stderr)
        )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> int:
    """The status of a process that has closed its pipes; raises ``TimeoutExpired``."""
    # Popen.wait with a timeout sleeps between looks, longer than most commands take.
    late = threading.Timer(max(0.0, deadline - time.monotonic()), process.kill)
    late.daemon = True
    late.start()
    try:
        status = process.wait()
    finally:
        late.cancel()
    if status == -signal.SIGKILL and time.monotonic() >= deadline:
        raise subprocess.TimeoutExpired(process.args, 0)
    return status


def _late(words: Sequence[str], serial: str | None, timeout: float) -> Exception:
    if not words or words[0] in _ABOUT_THE_SERVER:
        return AdbServerFailed(
            f"adb {clean(' '.join(words))} got no answer from its server within {timeout:.0f} s",
            hint="Another program may listen on adb's port; try: adb kill-server",
        )
    return DeviceTimeout(
        f"adb {clean(' '.join(words[:2]), most=120)} on {clean(serial or 'the phone')} "
        f"took longer than {timeout:.0f} s",
        hint="Unlock the phone, look at the cable, and try again.",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no adb behind; the server that it may have started has its own session."""
    if process.poll() is None:
        process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
