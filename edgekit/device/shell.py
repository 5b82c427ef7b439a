"""Commands on one phone, with their true exit status whatever the phone and adb are.

The status never comes from adb alone. Phones without ``shell_v2`` have no status to send, and adb
29 ends with 0 when the connection breaks in the middle of a command. So each command is followed
by a line of its own that carries the status after a word nobody else can know.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Sequence
from functools import cached_property

from edgekit.device import faults
from edgekit.device.adb import MOST_BYTES, Adb, Reply
from edgekit.device.protocol import clean
from edgekit.device.quoting import join, quote
from edgekit.errors import (
    DeviceOffline,
    DevicePermission,
    EdgekitError,
    InternalError,
    RunnerKilled,
    SpecError,
    Unsupported,
)

# The kernel takes 128 KiB for one word of a command line.
_LONGEST_COMMAND = 64 * 1024
_NOT_EXECUTABLE, _NOT_FOUND, _CONNECTION_LOST = 126, 127, 255

REASONS = {
    "SIGABRT": "it gave up by itself: a failed check, or no memory",
    "SIGBUS": "it read a file that was cut short while it ran, or memory that is not there",
    "SIGFPE": "it divided by zero",
    "SIGHUP": "the connection that it was started through ended",
    "SIGILL": "it uses an instruction that this processor does not have",
    "SIGKILL": "the phone killed it, most often for low memory",
    "SIGPIPE": "nobody read what it said any more",
    "SIGSEGV": "it used memory that is not its own",
    "SIGSYS": "it made a system call that this phone does not allow",
    "SIGTERM": "somebody asked it to stop",
    "SIGXCPU": "it used more processor time than it may",
}
_REPORT = "Try again; if it stays, report it with the end of: adb logcat -d"
_HINTS = {
    "SIGKILL": "Close other apps or restart the phone; a smaller or quantized model needs less.",
    "SIGILL": "Report it with what edgekit devices --json says of this phone.",
    "SIGHUP": faults.RECONNECT,
    "SIGPIPE": faults.RECONNECT,
}


class Shell:
    """The shell of one phone, as adb's shell user.

    Attributes:
        adb: the program that reaches it.
        serial: the phone.
        within: the words of a program on the phone that starts another, such as ``run-as APP``;
            every command is started by it.
    """

    def __init__(self, adb: Adb, serial: str, *, within: Sequence[str] = ()) -> None:
        self.adb = adb
        self.serial = serial
        self.within = tuple(within)

    @cached_property
    def features(self) -> frozenset[str]:
        """What adb and this phone can both do; asked once.

        Raises:
            EdgekitError: the phone is not there (see ``faults``).
        """
        reply = self.adb.run(["features"], serial=self.serial, timeout=10)
        return frozenset(clean(word, most=80) for word in reply.text.split())

    @property
    def splits(self) -> bool:
        """Whether stdout and stderr come apart: the phone has ``shell_v2``."""
        return "shell_v2" in self.features

    def run(
        self,
        words: Sequence[str],
        *,
        cwd: str | None = None,
        timeout: float = 30.0,
        check: bool = True,
        most: int = MOST_BYTES,
    ) -> Reply:
        """Run a command on the phone to its end.

        Args:
            words: the command; each word arrives as it is, whatever it holds.
            cwd: folder on the phone to run it in.
            timeout: seconds; what runs on the phone may go on after them.
            check: raise when the command's status is not 0.
            most: bytes of output that are taken.

        Returns:
            The command's own status and output. Without ``shell_v2`` stderr is empty and its text
            is in stdout.

        Raises:
            EdgekitError: the phone went away, or, with ``check``, the command failed: the kind is
                that of ``faults``, ``Unsupported`` for a command that the phone does not have.
        """
        mark = secrets.token_hex(12)
        line = f"{self.line(words, cwd)}; echo {mark}$?"
        reply = self.adb.run(
            ["shell", line], serial=self.serial, timeout=timeout, check=False, most=most
        )
        ended = self._unmarked(reply, mark)
        if ended is None:
            raise self._lost(words, reply)
        if check and ended.status != 0:
            raise self.failure(words, ended)
        return ended

    def ask(self, words: Sequence[str], *, timeout: float = 10.0) -> str | None:
        """What the phone answers to a question; None when it has no answer.

        Raises:
            EdgekitError: the phone went away, took longer than ``timeout`` or never stops talking.
        """
        reply = self.run(words, timeout=timeout, check=False)
        return reply.text if reply.status == 0 else None

    def argv(self, words: Sequence[str], *, cwd: str | None = None) -> list[str]:
        """The words for this computer that start a command on the phone and stream its output.

        With ``shell_v2`` adb ends with the command's status, and with 0 when the connection
        breaks: only a last line of the command's own proves that it ran to its end. Without
        ``shell_v2`` adb always ends with 0, stderr is dropped (it would be mixed into stdout), and
        the last line of stdout is ``{"event":"exit","status":N}``.
        """
        line = self.line(words, cwd)
        if not self.splits:
            line += """ 2>/dev/null; echo '{"event":"exit","status":'$?'}'"""
        return self.adb.argv(["shell", line], self.serial)

    def ended(self, status: int, tail: str | bytes) -> EdgekitError | None:
        """Why a streamed command ended, when that was not its own decision.

        Args:
            status: of adb (or of the ``exit`` event); negative for a signal on this computer.
            tail: the end of what stderr said.

        Returns:
            None when the phone is there and the command ended by itself, whatever its status.
        """
        said = tail.decode("utf-8", "replace") if isinstance(tail, bytes) else tail
        if status < 0:
            return InternalError(
                f"adb was ended by {signal_name(-status)} on this computer", hint=""
            )
        if status in (0, 1, _CONNECTION_LOST):
            known = faults.fault(said, self.serial, by_adb=True) if status else None
            return known or self._absent()
        if status == _NOT_EXECUTABLE:
            return DevicePermission(
                f"{clean(self.serial)} does not let the program start: {clean(said[-300:])}",
                hint="Its storage may forbid programs for the shell user.",
            )
        if status == _NOT_FOUND:
            return RunnerKilled(
                f"the program did not start on {clean(self.serial)}: {clean(said[-300:])}",
                hint="A file or library of it is not on the phone; push it again.",
                status=status,
            )
        if 128 < status <= 128 + 64:
            name = signal_name(status - 128)
            because = REASONS.get(name, "the phone does not say why")
            return RunnerKilled(
                f"the program was ended by {name} on {clean(self.serial)}: {because}",
                hint=_HINTS.get(name, _REPORT),
                signal=name,
            )
        return None

    def failure(self, words: Sequence[str], reply: Reply) -> EdgekitError:
        """The typed error for a command on the phone whose status is not 0."""
        said = (reply.stderr or reply.stdout)[-64 * 1024 :].decode("utf-8", "replace")
        name = clean(words[0], most=80)
        if reply.status == _NOT_FOUND:
            return Unsupported(
                f"{clean(self.serial)} has no command {name}", hint="Its Android may be too old."
            )
        known = faults.fault(said, self.serial, by_adb=False)
        if known is not None:
            return known
        return InternalError(
            f"{name} failed on {clean(self.serial)} with status {reply.status}: "
            f"{reply.complaint or 'it said nothing'}",
            hint="",
            status=reply.status,
        )

    def state(self) -> str:
        """How adb sees the phone now: device, offline, ..., or an empty text when it is gone."""
        reply = self.adb.run(["get-state"], serial=self.serial, timeout=5, check=False)
        return clean(reply.text, most=40) if reply.status == 0 else ""

    def line(self, words: Sequence[str], cwd: str | None = None) -> str:
        """The command as one line for the phone's shell.

        Raises:
            SpecError: there are no words, or too many of them.
        """
        if not words:
            raise SpecError("no command to run on the phone")
        line = join(words) if cwd is None else f"cd {quote(cwd)} && {join(words)}"
        if self.within:
            # A shell of its own, for what is not found to be told with a shell's status.
            line = join([*self.within, "sh", "-c", line])
        if len(line.encode("utf-8", "surrogateescape")) > _LONGEST_COMMAND:
            raise SpecError(f"a command of more than {_LONGEST_COMMAND} bytes: {clean(line, 80)}")
        return line

    def _unmarked(self, reply: Reply, mark: str) -> Reply | None:
        """The reply with the command's own status; None when its last line did not arrive."""
        before, found, after = reply.stdout.rpartition(mark.encode())
        number = after.strip()
        if not found or not number.isdigit() or len(number) > 3:
            return None
        if after.endswith(b"\r\n"):
            # Phones without shell_v2 answer through a terminal, which adds a \r to each line.
            before = before.replace(b"\r\n", b"\n")
        return Reply(int(number), before, reply.stderr)

    def _lost(self, words: Sequence[str], reply: Reply) -> EdgekitError:
        """Why a command's last line did not arrive."""
        said = reply.stderr[-64 * 1024 :].decode("utf-8", "replace")
        return (
            faults.fault(said, self.serial, by_adb=True)
            or self._absent()
            or DeviceOffline(
                f"the connection to {clean(self.serial)} broke while {clean(words[0])} ran",
                hint=faults.RECONNECT,
            )
        )

    def _absent(self) -> EdgekitError | None:
        """An error when adb does not see the phone as usable now."""
        state = self.state()
        if state == "device":
            return None
        return DeviceOffline(
            f"{clean(self.serial)} went away" + (f": it is {state} now" if state else ""),
            hint=faults.RECONNECT,
        )


def signal_name(number: int) -> str:
    """SIGKILL for 9; Android's numbers are those of Linux."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
