"""Native programs in the sandbox: arm64 files really run, under qemu-user."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from tests.support.phone.interpreter import Process
from tests.support.phone.sandbox import HOME

EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
_ELF = b"\x7fELF"
_PIECE = 1 << 16


def start(process: Process) -> int:
    """Run the file that the first word names; its status, 128 + n after a signal."""
    phone = process.phone
    path = process.absolute(process.words[0])
    try:
        real = phone.sandbox.contents(path)
    except OSError as error:
        if error.errno == errno.EISDIR:
            return _shell_says(process, "can't execute: Is a directory", 126)
        return _shell_says(process, "inaccessible or not found", 127)
    if phone.faults.may_not_start or not isinstance(real, Path) or not _executable(real):
        return _shell_says(process, "can't execute: Permission denied", 126)
    if real.open("rb").read(4) != _ELF:
        return _shell_says(process, "can't execute: Exec format error", 126)
    job = "--job" in process.words
    if job and phone.faults.hang:
        process.wires.ended.wait()
        return 129
    if job and phone.faults.lines is not None:
        return _told(process)
    return _emulated(process, real)


def _executable(path: Path) -> bool:
    # A test that runs as root is allowed everything by access().
    return bool(path.stat().st_mode & 0o111)


def _shell_says(process: Process, text: str, status: int) -> int:
    said = f"/system/bin/sh: {process.words[0]}: {text}\n"
    process.wires.err(said.encode("utf-8", "surrogateescape"))
    return status


def _told(process: Process) -> int:
    """What a hostile runner prints."""
    faults = process.phone.faults
    assert faults.lines is not None
    for piece in faults.lines():
        if process.wires.ended.is_set():
            return 129
        process.wires.out(piece)
    return faults.status


def _emulated(process: Process, real: Path) -> int:
    phone = process.phone
    emulator = next(filter(None, map(shutil.which, EMULATORS)), None)
    if emulator is None:
        raise RuntimeError(f"{' or '.join(EMULATORS)} is needed to run {real.name}")
    words = [_here(process, word) for word in process.words[1:]]
    cwd = phone.sandbox.real(process.shell.cwd)
    exported = {name: value for name, value in process.shell.variables.items() if name != "TMPDIR"}
    child = subprocess.Popen(
        [emulator, "-cpu", phone.cpu, "-L", str(phone.prefix), str(real), *words],
        cwd=cwd or phone.root,
        env=exported,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    phone.processes[child.pid] = (process.words, child)
    process.wires.at_end(lambda: _hang_up(child))
    errors = threading.Thread(target=_copy_errors, args=(child, process), daemon=True)
    errors.start()
    _copy_output(child, process)
    status = child.wait()
    errors.join()
    del phone.processes[child.pid]
    child.stdout.close()
    child.stderr.close()
    if phone.faults.after_run is not None and "--job" in process.words:
        phone.faults.after_run(cwd or phone.root)
    return 128 - status if status < 0 else status


def _here(process: Process, word: str) -> str:
    """A word of the command line with the phone's folders as they lie here."""
    for place, root in ((HOME, process.phone.root), process.phone.sandbox.own() or ("\0", "")):
        word = word.replace(place, str(root))
    return word


def _copy_output(child: subprocess.Popen[bytes], process: Process) -> None:
    faults = process.phone.faults
    lines = 0
    while piece := os.read(child.stdout.fileno(), _PIECE):
        process.wires.out(piece)
        lines += piece.count(b"\n")
        if "--job" not in process.words:
            continue
        if faults.drop_run_after is not None and lines >= faults.drop_run_after:
            process.phone.unplug()
        if faults.kill is not None and lines >= faults.kill_after:
            _kill(child, process)


def _kill(child: subprocess.Popen[bytes], process: Process) -> None:
    phone = process.phone
    number, phone.faults.kill = phone.faults.kill, None
    if number is None:
        return
    if phone.faults.out_of_memory:
        phone.log(
            f"I lowmemorykiller: Kill 'ld-linux-aarch64' ({child.pid}), uid 2000, "
            "oom_score_adj 0 to free 1843212kB rss, 0kB swap; reason: low watermark is breached"
        )
    child.send_signal(number)
    # A signal that the emulator keeps for its guest must still end the program.
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(2)


def _copy_errors(child: subprocess.Popen[bytes], process: Process) -> None:
    while piece := os.read(child.stderr.fileno(), _PIECE):
        process.wires.err(piece)


def _hang_up(child: subprocess.Popen[bytes]) -> None:
    """What adbd does to the program of a stream that was closed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGHUP)


def kill_all(processes: dict[int, tuple[list[str], subprocess.Popen[bytes]]]) -> None:
    """End everything that this phone still runs."""
    for _, child in list(processes.values()):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
