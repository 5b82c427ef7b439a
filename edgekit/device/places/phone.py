"""A phone as a place: the same jobs as on this machine, over adb, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edgekit.bundle.disk import as_write_errors
from edgekit.device import adb as adb_program
from edgekit.device import health, inventory, phone, runner, stream
from edgekit.device import job as jobs
from edgekit.device.adb import Adb
from edgekit.device.endings import Progress, in_words
from edgekit.device.job import Job
from edgekit.device.protocol import Event, clean, drive
from edgekit.device.pull import pull
from edgekit.device.push import Pushed, check_name, push, require_room_for
from edgekit.device.session import NOTE, Session
from edgekit.device.shell import Shell
from edgekit.errors import (
    DeviceReplyRefused,
    EdgekitError,
    SpecError,
    Unsupported,
)

MACHINE, ABI = "aarch64", "arm64-v8a"
JOB = "job.txt"
# A living runner has a heartbeat every 5 s.
SILENCE = 30.0
_CLOSING_SECONDS = 5.0
_PROGRAM = "ld-linux-aarch64"


def open_phone(
    serial: str | None = None,
    *,
    adb: Adb | None = None,
    wait: float = 0,
    keep: bool = False,
    silence: float = SILENCE,
) -> PhonePlace:
    """Open a session on a phone; close it, or use it as a context manager.

    Args:
        serial: which phone; see ``inventory.choose``.
        adb: the program to reach it with; the one that ``adb.find`` finds unless given.
        wait: seconds to wait for the phone to be connected and allowed.
        keep: leave the files on the phone when it is closed, for the next time.
        silence: seconds without a word after which a runner counts as hung.

    Raises:
        AdbMissing, AdbServerFailed: there is no working adb.
        DeviceMissing, DeviceAmbiguous, DeviceUnauthorized, DeviceOffline: which phone is meant, or
            that it cannot be used.
        Unsupported: the phone runs no 64-bit Arm programs.
    """
    program = adb_program.find() if adb is None else adb
    chosen = inventory.choose(program, serial, wait=wait)
    facts = phone.about(Shell(program, chosen))
    if facts.abis and ABI not in facts.abis:
        raise Unsupported(
            f"{clean(chosen)} runs {', '.join(facts.abis)} and not {ABI}",
            hint="The runner is made for 64-bit Arm phones.",
        )
    session = Session(program, chosen, keep=keep)
    session.__enter__()
    return PhonePlace(session, facts, silence)


class PhonePlace:
    """An open session on one phone. See ``places.Place`` for what is not described here.

    Attributes:
        name: maker, model and serial.
        serial: of the phone.
        session: its folder and what it changed.
        pushes: what each copy did, in order.
    """

    kind: Literal["phone"] = "phone"

    def __init__(self, session: Session, facts: phone.Phone, silence: float) -> None:
        """Use ``open_phone``."""
        self.session = session
        self.serial = session.shell.serial
        self.name = _name(facts)
        self.pushes: list[Pushed] = []
        self._facts = facts
        self._silence = silence
        self._runners: dict[str, Path] = {}

    def require_room(self, sizes: Mapping[str, int], runtimes: Sequence[jobs.Runtime]) -> None:
        """Refuse before the first byte travels when not all of a visit fits.

        Args:
            sizes: name in the working folder -> bytes, of all that ``put`` will bring.
            runtimes: whose runners will follow.

        Raises:
            DeviceStorageFull: need and have are named.
            Unavailable: a runner is not built.
        """
        own = self.session.folder
        copies = {posixpath.join(own, name): size for name, size in sizes.items()}
        for runtime in runtimes:
            for name, path in _files(runner.built(MACHINE, runtime)).items():
                copies[posixpath.join(own, runtime, name)] = path.stat().st_size
        require_room_for(self.session.shell, copies)

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy files into the working folder; those that are there already stay."""
        for name in files:
            if name in {JOB, NOTE, *jobs.RUNTIMES}:
                raise SpecError(f"{name} is a name of the phone's own", hint="Choose another.")
        self._push(files, self.session.folder)

    def run(
        self,
        job: Job,
        *,
        timeout: float,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Event:
        """Run one job to its end.

        Raises:
            Unavailable: the runner for the job's runtime is not built.
            RunnerKilled: the phone ended it, or it crashed; the reason where the phone tells.
            DeviceReplyRefused: it printed what its protocol does not allow.
            DeviceTimeout: it hung, or took longer than ``timeout``.
            EdgekitError: what the runner reports, and the phone's other faults.
        """
        words = self._start(job.runtime)
        self._write_job(job)
        progress = Progress(on_event)
        shell = self.session.shell
        if job.outputs is not None:
            # An earlier job's answers must not pass for this one's.
            shell.run(["rm", "-f", posixpath.join(self.session.folder, job.outputs)])
        try:
            return drive(
                shell.argv([*words, "--job", JOB], cwd=self.session.folder),
                where=self.name,
                cwd=Path(tempfile.gettempdir()),
                timeout=timeout,
                env=self.session.adb.variables(),
                on_event=progress,
                silence=min(self._silence, timeout),
                explain=lambda status, tail: self._ended(progress, status, tail),
            )
        except BaseException as error:
            self._stop(progress.pid)
            if isinstance(error, EdgekitError):
                raise in_words(error, progress, self.name, shell, _PROGRAM) from error
            raise

    def fetch(self, name: str, into: Path) -> None:
        """Copy one file out of the working folder."""
        path = posixpath.join(self.session.folder, check_name(name))
        shell = self.session.shell
        pull(self.session.adb, shell, path, into, most=stream.MOST_BYTES)

    def environment(self) -> dict[str, Any]:
        """The phone's own facts, and the runners that were brought to it."""
        runners = {name: folder.name for name, folder in self._runners.items()}
        return {**self._facts.as_dict(), "runners": runners}

    def health(self) -> dict[str, Any]:
        """Battery, heat, clocks, memory and screen as they are now."""
        return health.read(self.session.shell).as_dict()

    def locked(self) -> bool | None:
        """Whether the lock screen shows; None when the phone does not say."""
        return health.locked(self.session.shell)

    def copied(self) -> dict[str, Any]:
        """What went to the phone so far: files, bytes, those that were there already, seconds."""
        return {
            "files": sum(done.files for done in self.pushes),
            "bytes": sum(done.bytes for done in self.pushes),
            "resumed": sum(done.resumed for done in self.pushes),
            "sent": sum(done.sent for done in self.pushes),
            "seconds": round(sum(done.seconds for done in self.pushes), 3),
            "checksum": self.pushes[0].checksum if self.pushes else None,
        }

    def close(self) -> None:
        """Remove the folder, unless it is to be kept, and give the settings back."""
        self.session.close()

    def __enter__(self) -> PhonePlace:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _push(self, files: Mapping[str, Path], folder: str) -> None:
        self.pushes.append(push(self.session.adb, self.session.shell, files, folder))

    def _start(self, runtime: jobs.Runtime) -> list[str]:
        """The words that start a runtime's runner in the working folder; it is there by then."""
        folder = self._runners.get(runtime)
        if folder is None:
            folder = runner.built(MACHINE, runtime)
            self._push(_files(folder), posixpath.join(self.session.folder, runtime))
            self._runners[runtime] = folder
        return _moved(folder, runtime)

    def _write_job(self, job: Job) -> None:
        with job_file(job) as path:
            self._push({JOB: path}, self.session.folder)

    def _stop(self, pid: int | None) -> None:
        """End a runner that may still be at work; adbd ends most when the connection closes."""
        if pid is not None:
            with contextlib.suppress(EdgekitError):
                words = ["kill", "-9", str(pid)]
                self.session.shell.run(words, check=False, timeout=_CLOSING_SECONDS)

    def _ended(self, progress: Progress, status: int, tail: bytes) -> EdgekitError:
        """Why there was no last event: the phone's reason, or that its program gave none."""
        status = progress.status or status
        said = f"; its last words: {words}" if (words := clean(tail[-300:])) else ""
        return self.session.shell.ended(status, tail) or DeviceReplyRefused(
            f"{self.name}: the runner ended before its last event, after {progress.samples} "
            f"samples and with status {status}{said}"
        )


@contextlib.contextmanager
def job_file(job: Job) -> Iterator[Path]:
    """A job as a file that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="edgekit-job-") as name:
        path = Path(name, JOB)
        with as_write_errors(path):
            path.write_text(jobs.text(job), encoding="ascii", newline="\n")
        yield path


def _files(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir())}


def _moved(folder: Path, runtime: str) -> list[str]:
    """The start words of a runner's record, for a runner in a sub-folder named ``runtime``."""
    start = json.loads((folder / runner.RECORD).read_bytes())["start"]
    return [
        f"./{runtime}" if word == "." else word.replace("./", f"./{runtime}/", 1) for word in start
    ]


def _name(facts: phone.Phone) -> str:
    maker = "" if facts.model.startswith(facts.manufacturer) else f"{facts.manufacturer} "
    return f"{maker}{facts.model} ({clean(facts.serial, most=80)})".strip()
