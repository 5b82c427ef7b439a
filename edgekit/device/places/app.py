"""An app on a phone as a place: the same jobs, run by the app's own runner, where an app runs.

Nothing is installed and nothing of the app is touched but its folder for jobs. Its runner has ONNX
Runtime; see ``edgekit.device.app`` for how files and events travel.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edgekit.device import app as apps
from edgekit.device import inventory, phone, stream
from edgekit.device import job as jobs
from edgekit.device.adb import Adb
from edgekit.device.app import App
from edgekit.device.endings import Progress, in_words
from edgekit.device.job import Job
from edgekit.device.places.phone import SILENCE, PhonePlace, job_file
from edgekit.device.protocol import Event, drive
from edgekit.device.pull import pull
from edgekit.device.push import check_name
from edgekit.device.session import Session
from edgekit.device.shell import Shell
from edgekit.errors import EdgekitError, SpecError, Unavailable, Unsupported

RUNTIMES = ("onnx",)
# The events of a job that has ended are read at once.
_READING_SECONDS = 120.0


def open_app(
    package: str,
    serial: str | None = None,
    *,
    adb: Adb | None = None,
    wait: float = 0,
    keep: bool = False,
    silence: float = SILENCE,
) -> AppPlace:
    """Open a session with an app on a phone; close it, or use it as a context manager.

    Args:
        package: the app's name.
        serial, adb, wait, keep, silence: as for ``places.phone.open_phone``.

    Raises:
        SpecError: ``package`` is no name of a package.
        Unavailable: the app is not installed, or has no runner of edgekit.
        DevicePermission: the app is no debug build.
        EdgekitError: what ``open_phone`` raises.
    """
    from edgekit.device import adb as adb_program

    apps.check_package(package)
    program = adb_program.find() if adb is None else adb
    chosen = inventory.choose(program, serial, wait=wait)
    shell = Shell(program, chosen)
    facts = phone.about(shell)
    found = apps.find(shell, package)
    session = Session(program, chosen, keep=keep)
    session.__enter__()
    try:
        found.clear()
    except BaseException:
        session.close()
        raise
    return AppPlace(PhonePlace(session, facts, silence), found, silence)


def require(runtime: str) -> None:
    """Raise when the runner in an app has no such runtime.

    Raises:
        Unavailable: it has not.
    """
    if runtime not in RUNTIMES:
        raise Unavailable(
            f"the runner in an app has no {runtime}",
            hint="Leave --app out to run that artifact in a program of its own.",
        )


class AppPlace:
    """An open session with one app. See ``places.Place`` for what is not described here.

    Attributes:
        name: of the phone, and which app.
        serial: of the phone.
        session: the folder on the phone that files travel through, and what was changed.
    """

    kind: Literal["phone"] = "phone"

    def __init__(self, own_phone: PhonePlace, app: App, silence: float) -> None:
        """Use ``open_app``."""
        self.session = own_phone.session
        self.serial = own_phone.serial
        self.name = f"{own_phone.name}, in {app.package}"
        self._phone = own_phone
        self._app = app
        self._silence = silence
        self._versions: dict[str, str] = {}

    def require_room(self, sizes: Mapping[str, int], runtimes: Sequence[jobs.Runtime]) -> None:
        """Refuse before the first byte travels when not all of a visit fits, twice.

        Args:
            sizes: name in the working folder -> bytes, of all that ``put`` will bring.
            runtimes: whose runners are needed; the app brings its own.

        Raises:
            DeviceStorageFull: need and have are named.
        """
        twice = {f"{name}{copy}": size for name, size in sizes.items() for copy in ("", ".app")}
        self._phone.require_room(twice, ())

    def put(self, files: Mapping[str, Path]) -> None:
        """Copy files to the phone, and there into the app."""
        taken = {apps.JOB, apps.EVENTS} & files.keys()
        if taken:
            raise SpecError(f"{min(taken)} is a name of the app's own", hint="Choose another.")
        self._bring(files)

    def run(
        self,
        job: Job,
        *,
        timeout: float,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Event:
        """Run one job to its end. Its events are told when it has ended.

        Raises:
            Unavailable, Unsupported: the app cannot run such a job.
            RunnerKilled: the phone ended the app, or it crashed; the reason where the phone tells.
            DeviceReplyRefused: it wrote what its protocol does not allow.
            DeviceTimeout: it hung, or took longer than ``timeout``.
            EdgekitError: what the runner reports, and the phone's other faults.
        """
        _refuse(job)
        with job_file(job) as path:
            self._bring({apps.JOB: path})
        # An earlier job's answers must not pass for this one's.
        self._app.forget(apps.EVENTS, *([job.outputs] if job.outputs is not None else []))
        said = self._app.run(timeout=timeout, silence=min(self._silence, timeout))
        progress = Progress(on_event)
        inside = self._app.inside
        try:
            done = drive(
                inside.argv(["cat", apps.path_of(apps.EVENTS)]),
                where=self.name,
                cwd=Path(tempfile.gettempdir()),
                timeout=_READING_SECONDS,
                env=self.session.adb.variables(),
                on_event=progress,
                explain=lambda status, tail: self._ended(status, said, progress),
            )
        except EdgekitError as error:
            shell = self.session.shell
            raise in_words(error, progress, self.name, shell, self._app.package) from error
        self._versions[job.runtime] = progress.version
        return done

    def fetch(self, name: str, into: Path) -> None:
        """Copy one file out of the app's folder."""
        path = apps.path_of(check_name(name))
        pull(self.session.adb, self._app.inside, path, into, most=stream.MOST_BYTES)

    def environment(self) -> dict[str, Any]:
        """The phone's own facts, the app, and the version of each runtime that has run in it."""
        own = {"app": self._app.package, "runners": dict(self._versions)}
        return {**self._phone.environment(), **own}

    def health(self) -> dict[str, Any]:
        """Battery, heat, clocks, memory and screen as they are now."""
        return self._phone.health()

    def locked(self) -> bool | None:
        """Whether the lock screen shows; None when the phone does not say."""
        return self._phone.locked()

    def copied(self) -> dict[str, Any]:
        """What went to the phone so far: files, bytes, those that were there already, seconds."""
        return self._phone.copied()

    def close(self) -> None:
        """Remove the job's files from the app and the phone, and give the settings back."""
        self._app.remove()
        self._phone.close()

    def __enter__(self) -> AppPlace:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _bring(self, files: Mapping[str, Path]) -> None:
        self._phone.put(files)
        paths = [posixpath.join(self.session.folder, name) for name in files]
        self._app.take(paths, sum(path.stat().st_size for path in files.values()))

    def _ended(self, status: int, said: str, progress: Progress) -> EdgekitError | None:
        """Why there was no last event: the connection's reason, else the app's."""
        status = progress.status or status
        lost = self.session.shell.ended(status, b"") if status in (0, 255) or status < 0 else None
        return lost or self._app.ended(said, progress.pid)


def _refuse(job: Job) -> None:
    require(job.runtime)
    if job.cores:
        raise Unsupported(
            "an app cannot choose its processors", hint="Leave --cores out, or leave --app out."
        )
