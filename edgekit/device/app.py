"""An app on a phone that brings edgekit's runner: found, started, looked into with run-as.

The runner works in ``files/edgekit-job`` of the app. Only a debug build lets adb in there, and
nothing but the app itself may write there: files go through ``/data/local/tmp``.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgekit.device import faults
from edgekit.device.protocol import clean
from edgekit.device.push import digests
from edgekit.device.shell import REASONS, Shell, signal_name
from edgekit.errors import (
    DevicePermission,
    DeviceReplyRefused,
    DeviceTimeout,
    EdgekitError,
    RunnerKilled,
    SpecError,
    TransferBroken,
    Unavailable,
)

FOLDER = "files/edgekit-job"
JOB = "job"
EVENTS = "job.events"
_RUNNER = "RunnerInstrumentation"
_PACKAGE = re.compile(r"[A-Za-z]\w{0,99}(?:\.[A-Za-z]\w{0,99}){1,9}", re.ASCII)
_LOOK_SECONDS, _QUICK_SECONDS = 5.0, 10.0
# ApplicationExitInfo's numbers, where they say more than their names.
_REASONS = {
    2: "a signal ended it, most often for low memory",
    3: "the phone killed it for low memory",
    4: "its Java code crashed",
    5: "its native code crashed",
    6: "it did not answer the system",
    9: "it used too much memory or processor time",
    10: "somebody stopped it",
    11: "somebody stopped it",
}
_EXIT = re.compile(
    r"pid=(\d{1,9}) .{0,400}?reason=(\d{1,3}) \(([^\n]{0,60}?)\) .{0,200}?status=(\d{1,9})",
    re.DOTALL,
)
_BUILD = (
    "Make a debug build with edgekit's runner in it: edgekit android new, edgekit android build; "
    "then: adb install -r APK"
)


def check_package(name: str) -> str:
    """``name``, when it is the name of an Android package.

    Raises:
        SpecError: it is not.
    """
    if not _PACKAGE.fullmatch(name):
        raise SpecError(
            f"{clean(name, most=80)!r} is not the name of an Android package",
            hint="Such as edgekit.demo; adb shell pm list packages lists what is installed.",
        )
    return name


@dataclass(frozen=True)
class App:
    """An installed app with edgekit's runner, as ``find`` found it.

    Attributes:
        shell: of the phone.
        package: the app's name.
        component: of its runner, for ``am instrument``.
    """

    shell: Shell
    package: str
    component: str

    @cached_property
    def inside(self) -> Shell:
        """A shell that works as the app, in the app's own folder."""
        return Shell(self.shell.adb, self.shell.serial, within=("run-as", self.package))

    def clear(self) -> None:
        """An empty folder for jobs; what a killed session left is gone.

        Raises:
            DevicePermission: the app is no debug build.
            EdgekitError: the phone's other faults.
        """
        words = ["rm", "-rf", FOLDER]
        reply = self.inside.run(words, check=False)
        if reply.status != 0 and "run-as" in (said := reply.complaint):
            raise DevicePermission(
                f"{clean(self.shell.serial)} does not let adb into {self.package}: {said}",
                hint=f"Only a debug build does. {_BUILD}",
            )
        if reply.status != 0:
            raise self.inside.failure(words, reply)
        self.inside.run(["mkdir", "-p", FOLDER])

    def remove(self) -> None:
        """Remove the folder; raises nothing."""
        with contextlib.suppress(EdgekitError):
            self.inside.run(["rm", "-rf", FOLDER], timeout=_QUICK_SECONDS, check=False)

    def take(self, paths: Sequence[str], size: int) -> None:
        """Copy files of ``/data/local/tmp`` into the folder and hash them on both sides.

        Args:
            paths: absolute, on the phone.
            size: of all of them in bytes, about.

        Raises:
            TransferBroken: a copy has other bytes than its source.
            EdgekitError: the phone's other faults.
        """
        timeout = 60 + size / 10e6
        there = digests(self.shell, paths, size).found
        for path in paths:
            self.inside.run(["cp", path, path_of(posixpath.basename(path))], timeout=timeout)
        copies = {path: path_of(posixpath.basename(path)) for path in paths}
        found = digests(self.inside, list(copies.values()), size).found
        wrong = [path for path in paths if there.get(path) != found.get(copies[path])]
        if wrong:
            names = ", ".join(map(posixpath.basename, wrong))
            raise TransferBroken(
                f"{names} became other bytes in {self.package} on {clean(self.shell.serial)}",
                hint="Try again; if it stays, the phone's storage is failing.",
                files=names,
            )

    def forget(self, *names: str) -> None:
        """Remove files of the folder; those that are not there do no harm."""
        self.inside.run(["rm", "-f", *map(path_of, names)])

    def run(self, *, timeout: float, silence: float) -> str:
        """Run the job that lies in the folder, to its end or the app's.

        The events stand in the folder afterwards: while a job runs the phone is only asked, every
        ``silence`` seconds, whether there are more of them.

        Returns:
            What ``am instrument`` said, which is about the app and not about the job.

        Raises:
            DeviceTimeout: no event for ``silence`` seconds, or no end within ``timeout``.
            EdgekitError: the phone went away.
        """
        words = ["am", "instrument", "-w", "-r", "-e", "job", JOB, self.component]
        with _Watch(self, silence) as watch:
            try:
                reply = self.shell.run(words, timeout=timeout, check=False)
            except BaseException:
                self.stop()
                raise
        if watch.silent:
            raise DeviceTimeout(
                f"{self.package} said nothing for {silence:.0f} s on {clean(self.shell.serial)}",
                hint="Unlock the phone, let it cool, and try again.",
            )
        return reply.text + reply.stderr.decode("utf-8", "replace")

    def stop(self) -> None:
        """End the app; raises nothing."""
        with contextlib.suppress(EdgekitError):
            words = ["am", "force-stop", self.package]
            self.shell.run(words, timeout=_QUICK_SECONDS, check=False)

    def written(self) -> int | None:
        """Bytes of events so far; None where the phone does not say."""
        words = ["stat", "-c", "%s", path_of(EVENTS)]
        reply = self.inside.run(words, timeout=_LOOK_SECONDS, check=False, most=4096)
        said = reply.text.strip()
        return int(said) if reply.status == 0 and re.fullmatch(r"[0-9]{1,15}", said) else None

    def ended(self, said: str, pid: int | None) -> EdgekitError:
        """Why there was no last event.

        Args:
            said: what ``am instrument`` said.
            pid: of the app, when it told one.
        """
        words = clean(" ".join(re.findall(r"(?:shortMsg|longMsg|Error)[:=] ?([^\n]{1,200})", said)))
        name = f"{self.package} on {clean(self.shell.serial)}"
        if not words:
            return DeviceReplyRefused(
                f"{name}: its runner ended before its last event",
                hint=f"Is it of this edgekit? {_BUILD}",
            )
        number, told = self._exit(pid)
        because = _REASONS.get(number, told) if number else words
        hint = "Close other apps or restart the phone; a smaller or quantized model needs less."
        return RunnerKilled(
            f"the app was ended: {name}: {because}",
            hint=hint if number in (None, 2, 3, 9) else "See: adb logcat -d",
            reason=number,
        )

    def _exit(self, pid: int | None) -> tuple[int | None, str]:
        """Reason and words of the app's last exit; Android 11 and newer tell."""
        with contextlib.suppress(EdgekitError):
            words = ["dumpsys", "activity", "exit-info", self.package]
            reply = self.shell.run(words, check=False, timeout=_QUICK_SECONDS)
            for found in _EXIT.finditer(reply.text[: 64 * 1024]):
                if pid is None or int(found[1]) == pid:
                    number, status = int(found[2]), int(found[4])
                    name = signal_name(status) if number in (2, 5) and status < 65 else ""
                    more = REASONS.get(name, "")
                    return number, clean(f"{found[3]} {name} {more}")
        return None, ""


class _Watch:
    """Stops an app whose events do not grow; a living runner says something every 5 s."""

    def __init__(self, app: App, silence: float) -> None:
        self._app = app
        self._silence = silence
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.silent = False

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join(2 * _LOOK_SECONDS)

    def _look(self) -> None:
        before = -1
        while not self._over.wait(self._silence):
            try:
                now = self._app.written() or 0
            except EdgekitError:
                continue  # the phone's faults are named where the job waits
            if now == before or (before < 0 and now == 0):
                self.silent = not self._over.is_set()
                self._app.stop()
                return
            before = now


def find(shell: Shell, package: str) -> App:
    """An app with edgekit's runner.

    Args:
        shell: of the phone.
        package: the app's name.

    Raises:
        SpecError: ``package`` is no name of a package.
        Unavailable: it is not installed, or has no runner.
        EdgekitError: the phone went away.
    """
    check_package(package)
    told = shell.run(["pm", "path", package], check=False, most=64 * 1024)
    if not told.text.startswith("package:"):
        raise Unavailable(
            f"{package} is not installed on {clean(shell.serial)}",
            hint=_BUILD.replace("adb install", f"adb -s {faults.shown(shell.serial)} install"),
        )
    listed = shell.run(["pm", "list", "instrumentation", package], check=False, most=64 * 1024)
    own = re.escape(package)
    runner = rf"^instrumentation:({own}/(?:[\w.]{{1,200}}\.)?{_RUNNER}) \(target={own}\)\s*$"
    found = re.search(runner, listed.text, re.MULTILINE | re.ASCII)
    if found is None:
        raise Unavailable(f"{package} has no runner of edgekit", hint=_BUILD)
    return App(shell, package, found[1])


def path_of(name: str) -> str:
    """Where a file of a job lies, from the app's own folder."""
    return posixpath.join(FOLDER, name)
