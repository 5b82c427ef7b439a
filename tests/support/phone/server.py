"""An adb server of the tests' own: its port, its home, its key. No other server is touched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from edgekit.device import runner
from tests.support.phone.device import ScriptedPhone

# Variables that would lead adb to another server or another phone.
_DROPPED = ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ADB_VENDOR_KEYS")


class AdbServer:
    """A running adb server. Close it, or use it as a context manager.

    Attributes:
        port: where it listens on loopback.
        environment: variables that lead adb and edgekit to this server, for a subprocess.
    """

    def __init__(self, program: str | None = None) -> None:
        found = program or shutil.which("adb")
        if found is None:
            raise FileNotFoundError("adb is not installed: sudo apt-get install adb")
        self.program = found
        self._home = Path(tempfile.mkdtemp(prefix="adb-server-"))
        self.port = _free_port()
        self.environment: Mapping[str, str] = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "HOME": str(self._home),
            "EDGEKIT_HOME": str(runner.cache_root()),
        }
        self._started()

    def __enter__(self) -> AdbServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def whole_environment(self) -> dict[str, str]:
        """This process's environment, led to this server."""
        kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        return {**kept, **self.environment}

    def adb(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the real adb program against this server."""
        return subprocess.run(
            [self.program, *words],
            env=self.whole_environment(),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )

    def connect(self, phone: ScriptedPhone) -> str:
        """Connect by ``adb connect``; the serial, in whatever state the phone then is."""
        self.adb("connect", phone.serial)
        return phone.serial

    def disconnect(self, phone: ScriptedPhone) -> None:
        self.adb("disconnect", phone.serial)

    def replug(self, phone: ScriptedPhone) -> str:
        """Put the cable back in and connect anew; adb by itself would take ten seconds."""
        phone.plug()
        self.disconnect(phone)
        return self.connect(phone)

    def state(self, phone: ScriptedPhone) -> str:
        """The state in ``adb devices``; empty when the phone is not listed."""
        for line in self.adb("devices").stdout.splitlines():
            serial, _, state = line.partition("\t")
            if serial == phone.serial:
                return state
        return ""

    def wait(self, phone: ScriptedPhone, state: str, seconds: float = 10) -> None:
        """Until adb sees the phone in this state.

        Raises:
            TimeoutError: it does not come.
        """
        end = time.monotonic() + seconds
        while (seen := self.state(phone)) != state:
            if time.monotonic() > end:
                raise TimeoutError(f"{phone.serial} is {seen or 'not listed'}, not {state}")
            time.sleep(0.05)

    def close(self) -> None:
        """Stop this server, and only this one."""
        self.adb("kill-server")
        shutil.rmtree(self._home, ignore_errors=True)

    def _started(self) -> None:
        environment = {
            **self.whole_environment(),
            "TMPDIR": str(self._home),
            # The server looks for emulators at 5555 and up: those are not ours.
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
            "ADB_MDNS": "0",
        }
        subprocess.run(
            [self.program, "start-server"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
