"""``edgekit test``: the same check at this machine, on emulated arm64, on a phone or on all."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgekit.device import adb as adb_program
from edgekit.device import inventory
from edgekit.device.app import check_package
from edgekit.device.places import Kind, Place
from edgekit.errors import SpecError
from edgekit.stages import ProgressCallback, Stages
from edgekit.testing.fleet import visit_all
from edgekit.testing.plan import prepare
from edgekit.testing.report import Visit, failure_of
from edgekit.testing.visit import ready, steps, visit

PlaceName = Literal["phone", "arm64", "host"]
PLACES: tuple[PlaceName, ...] = get_args(PlaceName)
KINDS: dict[PlaceName, Kind] = {"phone": "phone", "arm64": "emulated", "host": "host"}


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        place: where to test.
        serial: which phone.
        every: all phones that adb lists.
        app: run inside this app of the phone, by its runner.
        runtimes: which artifacts; None for all whose runner is built.
        data: a labelled file.
        wait: seconds to wait for a phone.
        keep: leave the files on the phone.
        timeout: seconds for each job.
    """

    place: PlaceName = "phone"
    serial: str | None = None
    every: bool = False
    app: str | None = None
    runtimes: tuple[str, ...] | None = None
    data: Path | None = None
    wait: float = 0.0
    keep: bool = False
    timeout: float = 900.0

    def words(self, folder: Path) -> list[str]:
        """The same request for one phone, as words of ``edgekit test``."""
        made = [str(folder.absolute()), "--timeout", str(self.timeout), "--wait", str(self.wait)]
        if self.runtimes is not None:
            made += ["--runtime", ",".join(self.runtimes)]
        if self.app is not None:
            made += ["--app", self.app]
        if self.data is not None:
            made += ["--data", str(self.data.absolute())]
        return [*made, *(["--keep"] if self.keep else [])]


def check_bundle(
    folder: Path, request: Request, progress: ProgressCallback | None = None
) -> list[Visit]:
    """Check a bundle here, then replay its goldens, and a labelled file, where it will run.

    Args:
        folder: the bundle.
        request: where and what.
        progress: told of each stage.

    Returns:
        One visit a place. A failure at a place is in its visit; see ``report.failure_of``.

    Raises:
        InputMissing, BundleCorrupt, UnsafeInput: the bundle; no place has been touched.
        InputRefused: a line of the labelled file.
        SpecError: the request contradicts itself or names what is not there.
        Unavailable: no runner is built, there is no adb or no phone.
    """
    _refuse_contradictions(request)
    plan = prepare(folder, request.runtimes, request.data)
    machine = platform.machine() if request.place == "host" else "aarch64"
    chosen = ready(plan, machine, request.runtimes, in_app=request.app is not None)
    if request.every:
        return _everywhere(folder, request, progress)
    stages = Stages(steps(plan, chosen), progress)
    made = visit(
        _opener(request), KINDS[request.place], plan, chosen, timeout=request.timeout, stages=stages
    )
    return _finished([made], stages)


def _everywhere(folder: Path, request: Request, progress: ProgressCallback | None) -> list[Visit]:
    phones = inventory.listed(adb_program.find())
    if not phones:
        raise inventory.worst(phones)
    stages = Stages({f"{len(phones)} phones": 1.0}, progress)
    with stages.stage(f"{len(phones)} phones"):
        made = visit_all(phones, request.words(folder), stages.note)
    return _finished(made, stages)


def _finished(made: list[Visit], stages: Stages) -> list[Visit]:
    # A failure has the last word, not "done".
    if failure_of(made) is None:
        stages.finish()
    return made


def _opener(request: Request) -> Callable[[], Place]:
    if request.place == "host":
        from edgekit.device.places.host import open_host

        return open_host
    if request.place == "arm64":
        from edgekit.device.places.emulated import open_emulated

        return open_emulated
    if request.app is not None:
        from edgekit.device.places.app import open_app

        package = request.app
        return lambda: open_app(package, request.serial, wait=request.wait, keep=request.keep)
    from edgekit.device.places.phone import open_phone

    return lambda: open_phone(request.serial, wait=request.wait, keep=request.keep)


def _refuse_contradictions(request: Request) -> None:
    if request.place not in PLACES:
        raise SpecError(f"unknown place {request.place!r}", hint=f"Places: {', '.join(PLACES)}.")
    if request.app is not None:
        check_package(request.app)
    if request.every and request.serial is not None:
        raise SpecError("--all and --serial contradict each other", hint="Give one of them.")
    of_phones = request.every or request.serial or request.keep or request.app
    if request.place != "phone" and of_phones:
        raise SpecError(
            f"--serial, --all, --app and --keep are about phones, not about {request.place}",
            hint="Leave them out, or use --place phone.",
        )
