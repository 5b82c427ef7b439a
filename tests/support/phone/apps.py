"""Apps on a scripted phone: run-as, am instrument, exit-info. An app's runner is the native one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.device import runner
from tests.support.phone.interpreter import Interpreter, Process

if TYPE_CHECKING:
    from tests.support.phone.device import ScriptedPhone

DATA = "/data/data"
JOBS = "files/edgekit-job"
# The app that the running command works as; its files are closed to everybody else.
inside: ContextVar[str | None] = ContextVar("inside", default=None)


@dataclass
class App:
    """An installed app.

    Attributes:
        package: its name.
        root: the real folder behind its own.
        debuggable: whether run-as lets adb in.
        instrumentation: its class for ``am instrument``; empty where it has none.
        status: of its exit, as ``dumpsys activity exit-info`` tells; None before one.
        pid: of its last process.
        stopped: somebody stopped it.
    """

    package: str
    root: Path
    debuggable: bool = True
    instrumentation: str = "edgekit.demo.RunnerInstrumentation"
    status: int | None = None
    pid: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)


def install(phone: ScriptedPhone, package: str = "edgekit.demo", **more: object) -> App:
    """Put an app with the native ONNX runner in its library folder on a phone."""
    app = App(package, phone.root.parent / "apps" / package, **more)
    (app.root / "files").mkdir(parents=True)
    shutil.copytree(runner.built("aarch64", "onnx"), app.root / "lib", copy_function=_linked)
    phone.apps[package] = app
    return app


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def run_as(process: Process) -> int:
    package, *words = process.words[1:]
    app = process.phone.apps.get(package)
    if app is None:
        return _refused(process, f"unknown package: {package}")
    if not app.debuggable:
        return _refused(process, f"package not debuggable: {package}")
    with _as(package):
        return Interpreter(process.phone, f"{DATA}/{package}").invoke(words, process.wires)


def _refused(process: Process, why: str) -> int:
    process.wires.err(f"run-as: {why}\n".encode())
    return 1


@contextlib.contextmanager
def _as(package: str) -> Iterator[None]:
    token = inside.set(package)
    try:
        yield
    finally:
        inside.reset(token)


def am(process: Process) -> int | None:
    """``am instrument`` and ``am force-stop``; None for the rest."""
    match process.words[1:]:
        case ["instrument", "-w", "-r", "-e", "job", job, component]:
            return _instrument(process, job, component)
        case ["force-stop", package]:
            _stop(process.phone, package)
            return 0
    return None


def pm(process: Process) -> int | None:
    """``pm path`` and ``pm list instrumentation``; None for the rest."""
    apps = process.phone.apps
    match process.words[1:]:
        case ["path", package]:
            if package not in apps:
                return 1
            process.say(f"package:/data/app/~~aBcD==/{package}-xY==/base.apk\n")
        case ["list", "instrumentation", package]:
            app = apps.get(package)
            if app is not None and app.instrumentation:
                process.say(f"instrumentation:{package}/{app.instrumentation} (target={package})\n")
        case _:
            return None
    return 0


def exit_info(phone: ScriptedPhone, package: str) -> str | None:
    """What ``dumpsys activity exit-info`` says; None before Android 11 or without an exit."""
    app = phone.apps.get(package)
    if phone.transcript.api < 30 or app is None or app.status is None:
        return None
    number, name = 2, "SIGNALED"
    if app.status == signal.SIGKILL and phone.faults.out_of_memory:
        number, name = 3, "LOW_MEMORY"
    elif app.status != signal.SIGKILL:
        number, name = 5, "APP CRASH(NATIVE)"
    return (
        "ACTIVITY MANAGER PROCESS EXIT INFO (dumpsys activity exit-info)\n"
        f"  package: {package}\n    Historical Process Exit for uid=10233\n"
        "        ApplicationExitInfo #0:\n"
        f"          timestamp=2026-01-01 10:00:00.000 pid={app.pid} realUid=10233 "
        "packageUid=10233 definingUid=10233 user=0\n"
        f"          process={package} reason={number} ({name}) subreason=0 (UNKNOWN) "
        f"status={app.status}\n          importance=100 pss=0.00 rss=0.00 description=null\n"
    )


def _instrument(process: Process, job: str, component: str) -> int:
    phone = process.phone
    package = component.partition("/")[0]
    app = phone.apps.get(package)
    if app is None or component != f"{package}/{app.instrumentation}":
        process.say(f"INSTRUMENTATION_FAILED: {component}\n")
        return 0
    folder, lib = f"{DATA}/{package}/{JOBS}", f"{DATA}/{package}/lib"
    start = json.loads((app.root / "lib" / runner.RECORD).read_bytes())["start"]
    words = [lib if word == "." else word.replace("./", f"{lib}/", 1) for word in start]
    app.status = None
    app.stopped.clear()
    with (app.root / JOBS / f"{job}.events").open("wb", buffering=0) as events, _as(package):
        shell = Interpreter(phone, folder)
        wires = replace(process.wires, out=events.write, err=lambda data: None)
        if phone.faults.hang:
            status = _hung(app, process)
        else:
            status = shell.invoke([*words, "--job", job], wires)
    if status > 128 and not process.wires.ended.is_set():
        app.status = status - 128
        app.pid = _pid(app.root / JOBS / f"{job}.events")
        process.say("INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n")
    else:
        code = -1 if status == 0 else 0
        process.say(f"INSTRUMENTATION_RESULT: status={status}\nINSTRUMENTATION_CODE: {code}\n")
    return 0


def _hung(app: App, process: Process) -> int:
    while not (app.stopped.wait(0.05) or process.wires.ended.is_set()):
        pass
    return 128 + signal.SIGKILL


def _pid(events: Path) -> int:
    first = events.read_bytes().partition(b"\n")[0]
    return json.loads(first)["pid"] if first else 0


def _stop(phone: ScriptedPhone, package: str) -> None:
    if package in phone.apps:
        phone.apps[package].stopped.set()
    for words, child in list(phone.processes.values()):
        if any(word.startswith(f"{DATA}/{package}/") for word in words):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
