"""This computer as a place: the same runner and the same jobs, with no phone and no emulator."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edgekit.bundle.disk import as_write_errors
from edgekit.bundle.hashing import sha256_file
from edgekit.device import job as jobs
from edgekit.device import runner
from edgekit.device.health import Cpu, Health
from edgekit.device.job import Job
from edgekit.device.protocol import Event, drive
from edgekit.errors import InputMissing, SpecError, TransferBroken

JOB = "job.txt"


def open_host(runtimes: Sequence[str] = ("executorch",)) -> LocalPlace:
    """A place on this computer; close it, or use it as a context manager.

    Args:
        runtimes: runners that must be there; others are looked for when a job asks for them.

    Raises:
        Unavailable: a runner is not built; the hint has the command.
        SpecError: no such runtime.
    """
    machine = platform.machine()
    return LocalPlace(machine, "host", machine, runtimes)


class LocalPlace:
    """A working folder on this computer. See ``places.Place`` for what is not described here.

    Attributes:
        name: ``x86_64``, or which processor is emulated.
        kind: ``host`` or ``emulated``.
        folder: where jobs work; gone when the place is closed.
    """

    def __init__(
        self,
        name: str,
        kind: Literal["host", "emulated"],
        machine: str,
        runtimes: Sequence[str],
        prefix: Callable[[Path], list[str]] = lambda home: [],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Use ``open_host`` or ``open_emulated``.

        Args:
            name: see the class.
            kind: see the class.
            machine: architecture of the runners.
            runtimes: runners that must be there now.
            prefix: the words before the runner's own, of an emulator; told a folder that it may
                keep files in, and that lives as long as the place.
            facts: what ``environment`` adds.
        """
        self.name = name
        self.kind: Literal["host", "emulated"] = kind
        self._machine = machine
        self._facts = dict(facts or {})
        self._runners: dict[str, Path] = {}
        for runtime in runtimes:
            self._runner(runtime)
        self._home = tempfile.TemporaryDirectory(prefix="edgekit-", ignore_cleanup_errors=True)
        self.folder = Path(self._home.name, "work")
        self.folder.mkdir()
        self._prefix = prefix(Path(self._home.name))

    def put(self, files: Mapping[str, Path]) -> None:
        """Bring files into the working folder: as links where the disk allows it, else as copies.

        A link is the same file, so there is nothing to check; a copy is held against its source.
        """
        for name, source in files.items():
            target = self._path(name)
            if name == JOB:
                raise SpecError(f"{JOB} is the job's own name")
            if not source.is_file():
                raise InputMissing(f"no file {source}", path=str(source))
            with as_write_errors(target):
                _place(source, target)

    def run(
        self,
        job: Job,
        *,
        timeout: float,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Event:
        """Run one job to its end; raises what ``protocol.drive`` does."""
        folder = self._runner(job.runtime)
        path = self.folder / JOB
        with as_write_errors(path):
            path.write_text(jobs.text(job), encoding="ascii", newline="\n")
        return drive(
            [*self._prefix, *runner.command(folder), "--job", JOB],
            where=self.name,
            cwd=self.folder,
            timeout=timeout,
            on_event=on_event,
        )

    def hello(self, runtime: jobs.Runtime = "executorch", timeout: float = 60.0) -> Event:
        """What a runner says of itself, without a job.

        Raises:
            Unavailable: the runner is not built.
            InternalError: it is there and does not start.
        """
        words = [*self._prefix, *runner.command(self._runner(runtime)), "--version"]
        return drive(words, where=self.name, cwd=self.folder, timeout=timeout, last="hello")

    def fetch(self, name: str, into: Path) -> None:
        """Copy a file out of the working folder."""
        source = self._path(name)
        if not source.is_file():
            raise InputMissing(f"there is no {name} on {self.name}")
        with as_write_errors(into):
            shutil.copyfile(source, into)

    def environment(self) -> dict[str, Any]:
        """Processor, system, memory and the runners' names."""
        return {
            "machine": self._machine,
            "soc": _processor(),
            "cores": [cpu.max_khz for cpu in _cpus()],
            "kernel": f"{platform.system()} {platform.release()}",
            "memory_total": _memory("MemTotal"),
            **self._facts,
            "runners": {name: folder.name for name, folder in self._runners.items()},
        }

    def health(self) -> dict[str, Any]:
        """Free memory and clocks of this computer; the rest is a phone's to say."""
        return Health(memory_free=_memory("MemAvailable"), cpus=_cpus()).as_dict()

    def close(self) -> None:
        """Remove the working folder."""
        self._home.cleanup()

    def __enter__(self) -> LocalPlace:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _path(self, name: str) -> Path:
        return self.folder / jobs.file_name(name)

    def _runner(self, runtime: str) -> Path:
        if runtime not in self._runners:
            self._runners[runtime] = runner.built(self._machine, runtime)
        return self._runners[runtime]


def _place(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
        if sha256_file(source) != sha256_file(target):
            raise TransferBroken(f"{target.name} did not arrive as it left") from None


def _lines(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        yield from file


def _processor() -> str | None:
    names = (line.partition(":")[2] for line in _lines("/proc/cpuinfo") if "model name" in line)
    return next((name.strip() for name in names), None)


def _memory(key: str) -> int | None:
    """Bytes from /proc/meminfo."""
    found = (line.split() for line in _lines("/proc/meminfo") if line.startswith(f"{key}:"))
    return next((1024 * int(words[1]) for words in found), None)


def _cpus() -> tuple[Cpu, ...]:
    root = Path("/sys/devices/system/cpu")
    found = sorted(int(path.name[3:]) for path in root.glob("cpu[0-9]*"))
    return tuple(_cpu(root / f"cpu{index}/cpufreq", index) for index in found)


def _cpu(folder: Path, index: int) -> Cpu:
    def word(name: str) -> str | None:
        return next((line.strip() for line in _lines(str(folder / name))), None)

    now, most = word("scaling_cur_freq"), word("cpuinfo_max_freq")
    return Cpu(
        index=index,
        khz=int(now) if now and now.isdigit() else None,
        max_khz=int(most) if most and most.isdigit() else None,
        governor=word("scaling_governor"),
    )
