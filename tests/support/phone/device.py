"""The scripted phone: a fake adbd on loopback with a toy shell, and /data/local/tmp for real."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.phone import android, apps, builtins, programs, shell_service, sync, toybox
from tests.support.phone.faults import Faults
from tests.support.phone.interpreter import Process, Tool
from tests.support.phone.link import Link, Stream
from tests.support.phone.sandbox import HOME, Sandbox
from tests.support.phone.transcript import Answer, Transcript, load, of_api

# What an emulated program must see of an Arm phone: cpuinfo libraries crash on anything else.
_SEEN_BY_PROGRAMS = ("/proc/cpuinfo", "/sys/devices/system/cpu/", "/sys/class/thermal/")


class ScriptedPhone:
    """One phone. Close it, or use it as a context manager.

    Attributes:
        root: the real folder behind /data/local/tmp.
        faults: what goes wrong; change it at any time.
        executed: every command that ran, as its words.
        unknown: command lines that this phone does not know: a test should find none.
        settings: (namespace, key) -> value; ``settings_at_start`` is how they were.
        absent: tools that phones of this API level do not have.
        processes: pid -> words and process of what runs now.
        logged: lines of logcat.
        apps: package -> what ``apps.install`` put here.
        terminal: without shell_v2, commands run in a terminal that ends lines with \\r\\n.
        storage_free: bytes, as df tells them before anything is pushed.
    """

    def __init__(
        self,
        api: int = 35,
        *,
        serial: str = "R5CT30EXAMPLE",
        transcript: Path | None = None,
        faults: Faults | None = None,
        shell_v2: bool = True,
        terminal: bool = False,
        cpu: str = "cortex-a76",
    ) -> None:
        self.transcript: Transcript = of_api(api) if transcript is None else load(transcript)
        self.faults = faults or Faults()
        self.features = ("shell_v2", "cmd") if shell_v2 else ("cmd",)
        self.terminal = terminal
        self.cpu = cpu
        self.serial_number = serial
        self._home = Path(tempfile.mkdtemp(prefix="scripted-phone-")).resolve()
        self.root = self._home / "tmp"
        self.prefix = self._home / "prefix"
        self.root.mkdir()
        self.sandbox = Sandbox(self.root, self.faults)
        self.sandbox.own = self._own_folder
        self.apps: dict[str, apps.App] = {}
        self.settings = self.transcript.settings()
        self.settings_at_start = dict(self.settings)
        self.screen_on: bool | None = None
        self.executed: list[tuple[str, ...]] = []
        self.unknown: list[str] = []
        self.processes: dict[int, tuple[list[str], subprocess.Popen[bytes]]] = {}
        self.logged: list[str] = []
        self.tools: dict[str, Tool] = {**builtins.TOOLS, **toybox.TOOLS, **android.TOOLS}
        # Toybox learnt this one after Android 7.
        self.absent = {"sha256sum"} if self.transcript.api < 26 else set()
        self.links: list[Link] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self._files()
        self.plug()

    def __enter__(self) -> ScriptedPhone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def serial(self) -> str:
        """The name that adb has for the phone once it is connected."""
        return f"127.0.0.1:{self.port}"

    @property
    def storage_free(self) -> int:
        return self.sandbox.storage_free

    @storage_free.setter
    def storage_free(self, count: int) -> None:
        self.sandbox.storage_free = count

    def allow(self) -> None:
        """The user taps "Allow"."""
        self.faults.unauthorized = False
        for link in self.links:
            link.allowed.set()

    def unplug(self) -> None:
        """The cable comes out: connections end, new ones are refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread that waits in accept().
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for link in self.links:
            link.drop()
        self.links.clear()

    def plug(self) -> None:
        """The cable is in: connections are accepted, at the same port as before."""
        if self._listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen()
            self.port = listener.getsockname()[1]
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Hang up, end what runs, remove the files."""
        self.unplug()
        programs.kill_all(self.processes)
        shutil.rmtree(self._home, ignore_errors=True)

    def clean(self) -> bool:
        """Whether it is as it was: no file, no setting, and nothing that it did not know."""
        return (
            self.files() == []
            and self.settings == self.settings_at_start
            and self.unknown == []
            and self.sandbox.escapes == []
        )

    def files(self) -> list[str]:
        """Names under /data/local/tmp, folders with a slash."""
        return self.sandbox.files()

    def log(self, text: str) -> None:
        """Add a line to logcat, ``LEVEL TAG: text``."""
        level, _, rest = text.partition(" ")
        now = time.strftime("%m-%d %H:%M:%S")
        self.logged.append(f"{now}.000   612   612 {level} {rest}")

    def properties(self) -> dict[str, str]:
        known = {**self.transcript.properties(), "ro.serialno": self.serial_number}
        return {**known, **self.faults.properties}

    def names(self) -> set[str]:
        """Absolute device paths of all files and folders that there are."""
        found = {f"{HOME}/{name.rstrip('/')}" for name in self.files()}
        found |= set(self.sandbox.virtual)
        for name in list(found):
            while name.count("/") > 1:
                name = name.rsplit("/", 1)[0]
                found.add(name)
        return found | {HOME}

    def is_folder(self, device_path: str) -> bool:
        real = self.sandbox.real(device_path)
        if real is not None:
            return real.is_dir()
        inside = any(name.startswith(device_path.rstrip("/") + "/") for name in self.names())
        return inside or device_path in {"/", "/sdcard"}

    # The link asks these two.
    def banner(self) -> bytes:
        told = self.properties()
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        fields = [f"{name}={told.get(name, '')}" for name in names]
        fields.append("features=" + ",".join(self.features))
        return ("device::" + ";".join(fields)).encode("utf-8", "surrogateescape")

    def service(self, name: str) -> Callable[[Stream], None] | None:
        """How to serve what an adb server opens; None to refuse it."""
        if name == "sync:":
            return self._sync
        head, _, command = name.partition(":")
        if head.startswith("shell,v2") and "shell_v2" in self.features and command:
            return lambda stream: shell_service.framed(self, command, stream)
        if head in {"shell", "exec"} and command:
            in_terminal = self.terminal and head == "shell"
            return lambda stream: shell_service.raw(self, command, stream, in_terminal)
        self.unknown.append(name)
        return None

    def start(self, process: Process) -> int:
        return programs.start(process)

    def _own_folder(self) -> tuple[str, Path] | None:
        package = apps.inside.get()
        return None if package is None else (f"{apps.DATA}/{package}", self.apps[package].root)

    def _sync(self, stream: Stream) -> None:
        try:
            sync.Sync(stream, self.sandbox).serve()
        except sync.Cut:
            self.unplug()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            link = Link(sock, self)
            self.links.append(link)
            threading.Thread(target=link.serve, daemon=True).start()

    def _files(self) -> None:
        """Files of /proc and /sys: told by cat, and laid out for the programs that really run."""
        for path, answer in self.transcript.files().items():
            self.sandbox.virtual[path] = _teller(path, answer)
            if path.startswith(_SEEN_BY_PROGRAMS) and answer.status == 0:
                laid = self.prefix / path.lstrip("/")
                laid.parent.mkdir(parents=True, exist_ok=True)
                laid.write_text(answer.stdout, encoding="utf-8")


def _teller(path: str, answer: Answer) -> Callable[[], bytes]:
    def tell() -> bytes:
        if answer.status != 0:
            denied = "Permission denied" in answer.stderr
            code = errno.EACCES if denied else errno.ENOENT
            raise OSError(code, os.strerror(code), path)
        return answer.stdout.encode("utf-8", "surrogateescape")

    return tell
