"""A working folder on a phone, and the promise that the phone is afterwards as it was.

Every session has a folder of its own under ``/data/local/tmp/edgekit`` with a note of who made it
and of what it changed. A session that was killed, or lost its cable, leaves that folder: the next
one reads the note, gives the settings back, and goes on with the files that are already there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import posixpath
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.disk import as_write_errors
from edgekit.device.adb import Adb
from edgekit.device.shell import Shell
from edgekit.errors import EdgekitError

ROOT = "/data/local/tmp/edgekit"
NOTE = "session.txt"
STAY_ON = "stay_on_while_plugged_in"
# USB, mains and wireless charging.
_AWAKE = 7
_STALE_SECONDS = 24 * 3600
_YOUNG_SECONDS = 60
_CLEANING_SECONDS = 10.0
_LATE_SECONDS = 0.3
_TOKEN = re.compile(r"[0-9a-f]{12}")
_HEADER = "edgekit-session 1"


@dataclass(frozen=True)
class Note:
    """What a session writes down before it changes anything.

    Attributes:
        owner: digest of the computer's name and start, never the name itself.
        pid: of the process.
        stay_on: what ``stay_on_while_plugged_in`` was, ``null`` when it was not set; None when it
            is left alone.
    """

    owner: str
    pid: int
    stay_on: str | None

    def text(self) -> str:
        """The note as it lies on the phone."""
        return f"{_HEADER}\nowner {self.owner}\npid {self.pid}\nstay_on {self.stay_on or '-'}\n"


def parse(text: str) -> Note | None:
    """A note from a phone; None when it is not exactly what ``Note.text`` writes."""
    found = re.fullmatch(
        rf"{_HEADER}\nowner ([0-9a-f]{{64}})\npid ([0-9]{{1,9}})\nstay_on (-|null|[0-9]{{1,2}})\n?",
        text.replace("\r\n", "\n"),
    )
    if found is None:
        return None
    return Note(found[1], int(found[2]), None if found[3] == "-" else found[3])


class Session:
    """One user of a phone, as a context manager.

    Attributes:
        adb: the program that reaches the phone.
        shell: its shell.
        folder: the working folder on it, absolute.
        remarks: what could not be done, in words; none of it stops a session.
        adopted: whether the folder is one that a dead session left.
    """

    def __init__(self, adb: Adb, serial: str, *, keep: bool = False) -> None:
        """Prepare; nothing is changed before the session is entered.

        Args:
            adb: the program that reaches the phone.
            serial: the phone.
            keep: leave the files on the phone, for the next session to find.
        """
        self.adb = adb
        self.shell = Shell(adb, serial)
        self.folder = posixpath.join(ROOT, secrets.token_hex(6))
        self.remarks: list[str] = []
        self.adopted = False
        self._keep = keep
        self._note: Note | None = None
        self._open = False

    def __enter__(self) -> Session:
        """Clear what dead sessions left, make the folder, keep the phone awake.

        Raises:
            EdgekitError: the phone is gone or refuses its own scratch folder.
        """
        try:
            self._open = True
            others = self._settle_leftovers()
            self.shell.run(["mkdir", "-p", self.folder])
            self._wake(alone=not others)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was changed and remove the folder. May be repeated; raises nothing."""
        if not self._open:
            return
        self._open = False
        # Ctrl-C or SIGTERM, which may have ended an adb in the middle of a copy.
        failure = sys.exc_info()[1]
        stopped = failure is not None and not isinstance(failure, Exception)
        with contextlib.suppress(EdgekitError):
            if self._note is not None:
                self._restore(self._note)
            if not self._keep:
                self._sweep()
                if stopped:
                    # What adb's server had in its hands arrives late, and makes the folder anew.
                    time.sleep(_LATE_SECONDS)
                    self._sweep()

    def _sweep(self) -> None:
        self._quick("rm", "-rf", self.folder)
        # Refused while others are at work in it.
        self._quick("rmdir", ROOT, check=False)

    def _settle_leftovers(self) -> bool:
        """Whether another session is alive; the folders of dead ones are adopted or removed."""
        alive = False
        reply = self.shell.run(["ls", "-1", ROOT], check=False, most=2**20)
        names = reply.text.split() if reply.status == 0 else []
        # A name that is not of our own making is neither read nor touched.
        for name in filter(_TOKEN.fullmatch, names):
            folder = posixpath.join(ROOT, name)
            note = self._read_note(folder)
            if self._is_alive(folder, note):
                alive = True
                continue
            if note is not None:
                self._restore(note)
            self._take_over(folder)
        return alive

    def _take_over(self, folder: str) -> None:
        """Go on in a dead session's folder; a second one is removed."""
        if not self.adopted:
            self.adopted = (
                self.shell.run(["mv", "-f", folder, self.folder], check=False).status == 0
            )
        else:
            self.shell.run(["rm", "-rf", folder], check=False)

    def _read_note(self, folder: str) -> Note | None:
        path = posixpath.join(folder, NOTE)
        reply = self.shell.run(["cat", path], check=False, most=64 * 1024)
        return parse(reply.text) if reply.status == 0 else None

    def _is_alive(self, folder: str, note: Note | None) -> bool:
        if note is not None and note.owner == owner() and not _runs(note.pid):
            return False
        # Another computer's, a number that was given again, or no time for a note: age tells.
        limit = _STALE_SECONDS if note is not None else _YOUNG_SECONDS
        age = self._age(folder)
        return age is not None and age < limit

    def _age(self, folder: str) -> int | None:
        now = self.shell.run(["date", "+%s"], check=False, most=4096).text.strip()
        made = self.shell.run(["stat", "-c", "%Y", folder], check=False, most=4096).text.strip()
        if not re.fullmatch(r"\d{1,12}", now) or not re.fullmatch(r"\d{1,12}", made):
            return None
        return int(now) - int(made)

    def _wake(self, *, alone: bool) -> None:
        """Write the note, then keep the phone awake as long as it is plugged in."""
        stay_on = self._stay_on() if alone else None
        note = Note(owner(), os.getpid(), stay_on)
        self._write_note(note)
        self._note = note
        if not alone:
            self.remarks.append("another session of edgekit is at work on this phone")
        if stay_on is not None:
            wanted = _AWAKE | (0 if stay_on == "null" else int(stay_on))
            words = ["settings", "put", "global", STAY_ON, str(wanted)]
            self._try(words, "the phone may fall asleep")
        self._try(["input", "keyevent", "WAKEUP"], "the screen stays as it is")

    def _stay_on(self) -> str | None:
        """The setting now; None when it cannot be read, or is already what is wanted."""
        reply = self.shell.run(["settings", "get", "global", STAY_ON], check=False, most=4096)
        said = reply.text.strip()
        if reply.status != 0 or not re.fullmatch(r"[0-9]{1,2}|null", said):
            self.remarks.append("the phone does not tell its stay-awake setting: it is left alone")
            return None
        return None if said != "null" and int(said) & _AWAKE == _AWAKE else said

    def _write_note(self, note: Note) -> None:
        with _local_file(note.text()) as path:
            words = ["push", str(path), posixpath.join(self.folder, NOTE)]
            self.adb.run(words, serial=self.shell.serial)

    def _restore(self, note: Note) -> None:
        if note.stay_on == "null":
            self._quick("settings", "delete", "global", STAY_ON, check=False)
        elif note.stay_on is not None:
            self._quick("settings", "put", "global", STAY_ON, note.stay_on, check=False)

    def _try(self, words: list[str], otherwise: str) -> None:
        reply = self.shell.run(words, check=False, most=64 * 1024)
        if reply.status != 0:
            self.remarks.append(f"{words[0]} was refused ({reply.complaint}): {otherwise}")

    def _quick(self, *words: str, check: bool = True) -> None:
        self.shell.run(words, timeout=_CLEANING_SECONDS, check=check)


def owner() -> str:
    """This computer since its start, as a digest: equal pids of other computers are others."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        since = boot.read_text(encoding="ascii").strip()
    except OSError:
        since = ""
    return hashlib.sha256(f"{platform.node()} {since}".encode()).hexdigest()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _local_file(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgekit-session-") as folder:
        path = Path(folder, NOTE)
        with as_write_errors(path):
            path.write_text(text, encoding="ascii", newline="\n")
        yield path
